"""Recognition of formal languages: is the string a member? Half of the strings are, the others are edited members.

Source of the protocol: Butoi et al., "Training Neural Networks as Recognizers of Formal Languages", ICLR 2025,
https://arxiv.org/abs/2411.07107. A random edit of a member is hard to tell from a member, as a random string is not.

Shapes: n strings.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np

from lightning_dl2.data.sequences.formal.strings import StringTask, uniform_numbers
from lightning_dl2.data.sequences.sequence_task import Samples
from lightning_dl2.decoding.vocabulary import NOT_COUNTED

String = list[int]
Symbols = frozenset[int]
END = -1  # among the symbols that may follow: the string may end here


def _sets(*symbols: Sequence[int]) -> tuple[Symbols, ...]:
    return tuple(frozenset(each) for each in symbols)


class Language(StringTask):
    """Name 1 at the empty place behind a member of a language, and 0 behind another string.

    A member has `input_length` symbols. The other strings are members with one edit or more, each half as likely as one
    less: exchanging two symbols or replacing one (a third of the edits each), inserting or deleting one. They have at
    most one symbol more than a member. The paper exchanges none; then a net that only counts the symbols tells most
    strings. `num_sequences` counts members: where a language has few, all splits have them.

    Attributes:
        following_sets: all sets that `following` may yield.
    """

    following_sets: tuple[Symbols, ...]

    @abstractmethod
    def member(self, numbers: Iterator[float], size: int) -> String:
        """Draw a member of `size` symbols by uniform numbers in [0, 1)."""

    @abstractmethod
    def contains(self, string: String) -> bool:
        """Tell whether a string is a member."""

    @abstractmethod
    def following(self, string: String) -> Iterator[Symbols]:
        """Yield which symbols may follow in a member, after each symbol of a string; END where it may end.

        The set is empty once no member begins so. `NextSymbols` asks for these sets in training.
        """

    def num_tokens(self, length: int) -> int:
        return self.input_length(length) + 2

    def pair(self, rng: np.random.Generator, n: int, length: int) -> Samples:
        """Draw tokens and targets, both [n, T]: where an answer stands depends on the string."""
        size, numbers = self.input_length(length), uniform_numbers(rng)
        tokens = np.full((n, size + 2), self.symbols, np.int64)
        targets = np.full((n, size + 2), NOT_COUNTED, np.int64)
        for row, target in zip(tokens, targets, strict=True):
            is_member = next(numbers) < 0.5
            string = self.member(numbers, size) if is_member else self.other(numbers, size)
            row[: len(string)], target[len(string)] = string, is_member
        return tokens, targets

    def draw(self, rng: np.random.Generator, n: int, length: int) -> Samples:
        return self.pair(rng, n, length)

    def other(self, numbers: Iterator[float], size: int) -> String:
        """Edit a member; try again if the result is a member, or too long."""
        while True:
            string = self.member(numbers, size)
            self.edit(numbers, string)
            if 1 <= len(string) <= size + 1 and not self.contains(string):
                return string

    def edit(self, numbers: Iterator[float], string: String) -> None:
        """Edit a string once or more often."""
        self._edit_once(numbers, string)
        while next(numbers) < 0.5:
            self._edit_once(numbers, string)

    def _edit_once(self, numbers: Iterator[float], string: String) -> None:
        kind, symbol = next(numbers), int(next(numbers) * self.symbols)
        if kind < 1 / 6 or not string:
            string.insert(int(next(numbers) * (len(string) + 1)), symbol)
            return
        place, other = (int(next(numbers) * len(string)) for _ in range(2))
        if kind < 1 / 3:
            del string[place]
        elif kind < 2 / 3:
            string[place] = symbol
        else:
            string[place], string[other] = string[other], string[place]


class MarkedReversal(Language):
    """Strings of bits, symbol 2, and the bits backwards. A deterministic automaton with a stack recognises them."""

    symbols = 3
    following_sets = _sets((), (0, 1, 2), (0,), (1,), (END,))

    def input_length(self, length: int) -> int:
        return length - (length + 1) % 2

    def num_sequences(self, length: int) -> int:
        return 1 << self.input_length(length) // 2

    def member(self, numbers: Iterator[float], size: int) -> String:
        half = [int(2 * next(numbers)) for _ in range(size // 2)]
        return [*half, 2, *reversed(half)]

    def contains(self, string: String) -> bool:
        middle = len(string) // 2
        return len(string) % 2 == 1 and string[middle] == 2 and string.count(2) == 1 and string == string[::-1]

    def following(self, string: String) -> Iterator[Symbols]:
        stack: String = []
        marked, possible = False, True
        for symbol in string:
            if symbol == 2:
                possible, marked = possible and not marked, True
            elif not marked:
                stack.append(symbol)
            else:
                possible = possible and bool(stack) and stack.pop() == symbol
            allowed = {0, 1, 2} if not marked else {stack[-1] if stack else END}
            yield frozenset(allowed if possible else ())


class UnmarkedReversal(Language):
    """Strings of bits and the bits backwards, the even palindromes: the automaton has to guess where the middle is."""

    minimum_length = 2
    following_sets = _sets((0, 1), (0, 1, END))

    def input_length(self, length: int) -> int:
        return length - length % 2

    def num_sequences(self, length: int) -> int:
        return 1 << length // 2

    def member(self, numbers: Iterator[float], size: int) -> String:
        half = [int(2 * next(numbers)) for _ in range(size // 2)]
        return [*half, *reversed(half)]

    def contains(self, string: String) -> bool:
        return len(string) % 2 == 0 and string == string[::-1]

    def following(self, string: String) -> Iterator[Symbols]:
        for size in range(1, len(string) + 1):
            yield frozenset((0, 1, END) if self.contains(string[:size]) else (0, 1))


class Dyck(Language):
    """Balanced brackets of some kinds: symbols 0 to kinds - 1 open, and symbol k + kinds closes k.

    Members of a length are uniform. With one kind a counter recognises them, with two a stack.

    Args:
        kinds: of brackets.
    """

    minimum_length = 2

    def __init__(self, kinds: int) -> None:
        self.kinds, self.symbols = kinds, 2 * kinds
        self.following_sets = _sets((), *((*range(kinds), end) for end in (END, *range(kinds, 2 * kinds))))

    def input_length(self, length: int) -> int:
        return length - length % 2

    def num_sequences(self, length: int) -> int:
        pairs = length // 2
        return math.comb(2 * pairs, pairs) // (pairs + 1) * self.kinds**pairs

    def member(self, numbers: Iterator[float], size: int) -> String:
        """Open with the share of the balanced strings that open here: they are counted by the ballot theorem."""
        string: String = []
        opened: String = []
        for left in range(size, 0, -1):
            height = len(opened)
            if next(numbers) < (height + 2) * (left - height) / (2 * left * (height + 1)):
                opened.append(int(self.kinds * next(numbers)))
                string.append(opened[-1])
            else:
                string.append(opened.pop() + self.kinds)
        return string

    def contains(self, string: String) -> bool:
        opened: String = []
        for symbol in string:
            if symbol < self.kinds:
                opened.append(symbol)
            elif not opened or opened.pop() != symbol - self.kinds:
                return False
        return not opened

    def following(self, string: String) -> Iterator[Symbols]:
        opened: String = []
        possible = True
        for symbol in string:
            if symbol < self.kinds:
                opened.append(symbol)
            else:
                possible = possible and bool(opened) and opened.pop() == symbol - self.kinds
            end = opened[-1] + self.kinds if opened else END
            yield frozenset((*range(self.kinds), end) if possible else ())


class EqualBlocks(Language):
    """Blocks of equal length, each of one symbol, in order: a^n b^n, a^n b^n c^n.

    There is one member of a length. Two blocks need a counter, three need two.

    Args:
        blocks: number of blocks.
    """

    def __init__(self, blocks: int) -> None:
        self.minimum_length = self.symbols = blocks
        self.following_sets = _sets((), (0, 1), *((symbol,) for symbol in range(1, blocks)), (END,))

    def input_length(self, length: int) -> int:
        return length - length % self.symbols

    def num_sequences(self, length: int) -> int:
        return 1

    def member(self, numbers: Iterator[float], size: int) -> String:
        return [symbol for symbol in range(self.symbols) for _ in range(size // self.symbols)]

    def contains(self, string: String) -> bool:
        size = len(string) // self.symbols
        return (
            size > 0
            and len(string) % self.symbols == 0
            and string == sorted(string)
            and all(string.count(symbol) == size for symbol in range(self.symbols))
        )

    def following(self, string: String) -> Iterator[Symbols]:
        blocks, last, possible = self.symbols, 0, True
        counts = [0] * blocks
        for symbol in string:
            possible = possible and (symbol == last or (symbol == last + 1 and counts[last] == counts[0]))
            last = symbol
            counts[symbol] += 1
            possible = possible and 0 < counts[symbol] <= counts[0]
            if not possible:
                yield frozenset()
            elif last == 0:
                yield frozenset((0, 1))
            elif counts[last] < counts[0]:
                yield frozenset((last,))
            else:
                yield frozenset((last + 1 if last + 1 < blocks else END,))


class Majority(Language):
    """Strings of bits with more ones than zeros. Members have few more: each one more is half as likely."""

    following_sets = _sets((0, 1), (0, 1, END))

    def num_sequences(self, length: int) -> int:
        return sum(math.comb(length, ones) for ones in range(length // 2 + 1, length + 1))

    def member(self, numbers: Iterator[float], size: int) -> String:
        ones = size // 2 + 1
        while ones < size and next(numbers) < 0.5:
            ones += 1
        string: String = []
        for left in range(size, 0, -1):  # so that each order of the bits is as likely
            string.append(int(next(numbers) * left < ones))
            ones -= string[-1]
        return string

    def contains(self, string: String) -> bool:
        return 2 * sum(string) > len(string)

    def following(self, string: String) -> Iterator[Symbols]:
        lead = 0
        for bit in string:
            lead += 2 * bit - 1
            yield frozenset((0, 1, END) if lead > 0 else (0, 1))


class First(Language):
    """Strings of bits that begin with 1."""

    following_sets = _sets((), (0, 1, END))

    def num_sequences(self, length: int) -> int:
        return 1 << length - 1

    def member(self, numbers: Iterator[float], size: int) -> String:
        return [1, *(int(2 * next(numbers)) for _ in range(size - 1))]

    def edit(self, numbers: Iterator[float], string: String) -> None:
        """Edit a string anywhere, and then its first symbol, which few edits of a long string would find."""
        super().edit(numbers, string)
        string[:1] = [0]

    def contains(self, string: String) -> bool:
        return string[0] == 1

    def following(self, string: String) -> Iterator[Symbols]:
        for _ in string:
            yield frozenset((0, 1, END) if string[0] == 1 else ())
