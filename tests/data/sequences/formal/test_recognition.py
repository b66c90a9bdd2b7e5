"""Test the languages against other definitions of them, and that the other strings are hard to tell from members."""

import re
from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest

from lightning_dl2.builtin import sequence_data
from lightning_dl2.data.sequences.formal.next_symbols import NextSymbols
from lightning_dl2.data.sequences.formal.recognition import END, Language
from lightning_dl2.data.sequences.formal.registry import MARKED_TASKS
from lightning_dl2.decoding.vocabulary import NOT_COUNTED


def balanced(text: str) -> bool:
    while (shorter := text.replace("()", "").replace("[]", "")) != text:
        text = shorter
    return not text


LETTERS = {"marked_reversal": "01#", "dyck_1": "()", "dyck_2": "([)]", "a_n_b_n": "ab", "a_n_b_n_c_n": "abc"}
ORACLES = {
    "marked_reversal": lambda s: re.fullmatch("[01]*#[01]*", s) and s.split("#")[0] == s.split("#")[1][::-1],
    "unmarked_reversal": lambda s: s[: len(s) // 2] + s[: len(s) // 2][::-1] == s,
    "dyck_1": balanced,
    "dyck_2": balanced,
    "a_n_b_n": lambda s: s in {"a" * n + "b" * n for n in range(1, 9)},
    "a_n_b_n_c_n": lambda s: s in {"a" * n + "b" * n + "c" * n for n in range(1, 9)},
    "majority": lambda s: s.count("1") > s.count("0"),
    "first_bit": lambda s: s.startswith("1"),
}
LANGUAGES = [name for name, task in MARKED_TASKS.items() if isinstance(task, Language)]


def strings(name: str, n: int, length: int) -> list[tuple[str, int]]:
    task, letters = MARKED_TASKS[name], LETTERS.get(name, "01")
    tokens, targets = task.draw(np.random.default_rng(length), n, length)
    assert tokens.shape == targets.shape == (n, task.num_tokens(length))
    found = []
    for row, answers in zip(tokens.tolist(), targets.tolist(), strict=True):
        size = row.index(task.symbols)  # the first empty place
        assert {*row[size:]} == {task.symbols} and size >= 1
        assert answers == [*[NOT_COUNTED] * size, answers[size], *[NOT_COUNTED] * (len(row) - size - 1)]
        found.append(("".join(letters[symbol] for symbol in row[:size]), answers[size]))
    return found


def test_every_language_has_its_definition():
    assert set(ORACLES) == set(LANGUAGES) == set(sequence_data.LANGUAGES)


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_answer_is_that_of_the_definition(name):
    task = MARKED_TASKS[name]
    for length in range(task.minimum_length, 15):
        found = strings(name, 60, length)
        assert all(bool(ORACLES[name](string)) == bool(answer) for string, answer in found)
        assert {len(string) for string, answer in found if answer} == {task.input_length(length)}
        assert length - 2 <= task.input_length(length) <= length
    share = np.mean([answer for _, answer in strings(name, 2000, 12)])
    assert share == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_symbols_that_may_follow_are_those_of_the_members(name):
    """All strings of at most two symbols, against the beginnings of all members that are long enough to tell."""
    task = MARKED_TASKS[name]
    sizes = range(1, 7 if task.symbols > 3 else 10)
    follow = defaultdict(set)
    for member in (list(s) for size in sizes for s in product(range(task.symbols), repeat=size)):
        for size in range(1, len(member) + 1) if task.contains(member) else ():
            follow[tuple(member[:size])].add(member[size] if size < len(member) else END)
    for string in (list(s) for size in (1, 2) for s in product(range(task.symbols), repeat=size)):
        found = list(task.following(string))
        assert found == [follow[tuple(string[: size + 1])] for size in range(len(string))]
        assert set(found) <= set(task.following_sets)


@pytest.mark.parametrize(
    "name, string, follow",
    [
        ("marked_reversal", "011#110#", "01# 01# 01# 1 1 0 $ -"),
        ("marked_reversal", "01#00", "01# 01# 1 - -"),
        ("dyck_2", "([[])]", "([) ([] ([] ([] - -"),
        ("dyck_1", "(())()", "() () () ($ () ($"),
        ("a_n_b_n_c_n", "aabbcc", "ab ab b c c $"),
        ("a_n_b_n_c_n", "aabbca", "ab ab b c c -"),
        ("a_n_b_n", "aabbb", "ab ab b $ -"),
        ("unmarked_reversal", "0110", "01 01 01 01$"),
    ],
)
def test_what_may_follow_in_longer_strings(name, string, follow):
    letters = LETTERS.get(name, "01")
    found = MARKED_TASKS[name].following([letters.index(letter) for letter in string])
    spelled = ["".join("$" if symbol == END else letters[symbol] for symbol in each) for each in found]
    assert ["".join(sorted(each)) for each in spelled] == ["".join(sorted(each.strip("-"))) for each in follow.split()]


@pytest.mark.parametrize("name", LANGUAGES)
def test_training_asks_for_them_about_the_same_strings(name):
    task = MARKED_TASKS[name]
    asks = NextSymbols.of(task)
    tokens, targets = task.draw(np.random.default_rng(3), 50, 9)
    same, more = asks.draw(np.random.default_rng(3), 50, 9)
    sets = task.following_sets
    assert 2 + len(sets) == asks.num_classes(9) and len({*sets}) == len(sets)
    assert np.array_equal(tokens, same) and np.array_equal(targets[targets >= 0], more[targets >= 0])
    for row, plain, target in zip(same.tolist(), targets, more.tolist(), strict=True):
        end = int((plain >= 0).argmax())
        assert all(which >= 2 for which in target[:end]) and set(target[end + 1 :]) <= {NOT_COUNTED}
        asked = [sets[which - 2] for which in target[:end]]
        assert (END in asked[-1]) == (target[end] == 1)
        assert asked == list(task.following(row[:end]))


@pytest.mark.slow
@pytest.mark.parametrize("name", LANGUAGES)
def test_the_other_strings_are_near_to_members(name):
    """Many are as long as members, and have as many of each symbol: to count these does not tell them."""
    length = MARKED_TASKS[name].input_length(12)
    others = [string for string, answer in strings(name, 1500, 12) if not answer]
    assert np.mean([len(string) == length for string in others]) > 0.25
    counts = {"".join(sorted(string)) for string, answer in strings(name, 1500, 12) if answer}
    assert name == "majority" or np.mean(["".join(sorted(string)) in counts for string in others]) > 0.1


@pytest.mark.parametrize("name", ["dyck_1", "dyck_2", "marked_reversal", "majority", "first_bit"])
def test_every_member_of_a_short_length_is_drawn(name):
    task = MARKED_TASKS[name]
    length = 6 if name.startswith("dyck") else 5
    counts = Counter(string for string, answer in strings(name, 100 * task.num_sequences(length), length) if answer)
    assert len(counts) == task.num_sequences(length)
    if name.startswith("dyck"):  # they are uniform
        assert max(counts.values()) < 3 * min(counts.values())
