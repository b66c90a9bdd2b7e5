"""The deterministic context-free tasks of the Chomsky suite: an automaton with a stack answers them.

Source: Delétang et al., "Neural Networks and the Chomsky Hierarchy", ICLR 2023, https://arxiv.org/abs/2207.02098.
Shapes: n strings, I symbols of an input.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np

from lightning_dl2.data.sequences.formal.strings import FunctionTask, StringTask, uniform_numbers
from lightning_dl2.data.sequences.sequence_task import Samples
from lightning_dl2.decoding.vocabulary import NOT_COUNTED

MODULUS = 5
SYMBOLS = {**{str(digit): digit for digit in range(MODULUS)}, "+": 5, "-": 6, "*": 7, "(": 8, ")": 9, "x": 10, "=": 11}
LEAVES = {1: "{}", 2: "-{}", 3: "({})", 4: "(-{})"}  # the expressions of one number, by their lengths


class ReverseString(FunctionTask):
    """Write a string of bits backwards."""

    def answer_length(self, length: int) -> int:
        return length

    def answer(self, inputs: np.ndarray) -> np.ndarray:
        return inputs[:, ::-1]


class StackManipulation(FunctionTask):
    """Write a stack after some actions, from its top.

    An input is the stack from its bottom, bits, and then actions: 2 pops, 3 pushes 0 and 4 pushes 1. The stack has one
    symbol or more, and an input of two symbols or more has an action. A pop from an empty stack does nothing. The
    answer ends with 2.
    """

    symbols, classes = 5, 3
    POP, PUSH, END = 2, 3, 2

    def answer_length(self, length: int) -> int:
        return length + 1

    def inputs(self, rng: np.random.Generator, n: int, length: int) -> np.ndarray:
        heights = rng.integers(1, max(2, length), size=(n, 1))
        stack, actions = rng.integers(2, size=(n, length)), rng.integers(self.POP, self.symbols, size=(n, length))
        return np.where(np.arange(length) < heights, stack, actions)

    def num_sequences(self, length: int) -> int:
        return 2 if length == 1 else sum(2**height * 3 ** (length - height) for height in range(1, length))

    def answer(self, inputs: np.ndarray) -> np.ndarray:
        answers = np.full((len(inputs), inputs.shape[1] + 1), NOT_COUNTED)
        for row, symbols in zip(answers, inputs.tolist(), strict=True):
            stack: list[int] = []
            for symbol in symbols:
                if symbol != self.POP:
                    stack.append(symbol % self.PUSH)
                elif stack:
                    stack.pop()
            row[: len(stack) + 1] = [*reversed(stack), self.END]
        return answers


class ModularArithmeticBrackets(StringTask):
    """Compute an expression with brackets modulo 5, such as ((1+(-2))*3).

    An expression of four symbols or fewer is a number d as d, -d, (d) or (-d). A longer one is (l+r), (l-r) or (l*r):
    the length of l is uniform, and l and r are expressions. Symbols 0 to 4 are the numbers, then come + - * ( ).
    """

    symbols, classes = 10, MODULUS
    operators = "+-*"

    def pair(self, rng: np.random.Generator, n: int, length: int) -> Samples:
        numbers = uniform_numbers(rng)
        drawn = [_expression(numbers, length, self.operators) for _ in range(n)]
        inputs = np.array([[SYMBOLS[symbol] for symbol in text] for text, _ in drawn])
        return inputs, np.array([[value] for _, value in drawn])

    def num_sequences(self, length: int) -> int:
        return _count_expressions(length, len(self.operators))[0]


class SolveEquation(StringTask):
    """Compute x in an equation modulo 5, such as ((1+x)-3)=2.

    One of the numbers of an expression with + and - is x. The symbols are those of ModularArithmeticBrackets, then x
    and =. There is one solution.
    """

    minimum_length = 3
    symbols, classes = 12, MODULUS
    operators = "+-"

    def pair(self, rng: np.random.Generator, n: int, length: int) -> Samples:
        numbers = uniform_numbers(rng)
        inputs, solutions = [], []
        for _ in range(n):
            text, value = _expression(numbers, length - 2, self.operators)
            places = [place for place, symbol in enumerate(text) if symbol.isdigit()]
            place = places[int(next(numbers) * len(places))]
            equation = f"{text[:place]}x{text[place + 1 :]}={value}"
            inputs.append([SYMBOLS[symbol] for symbol in equation])
            solutions.append([int(text[place])])
        return np.array(inputs), np.array(solutions)

    def num_sequences(self, length: int) -> int:
        return _count_expressions(length - 2, len(self.operators))[1]


def _expression(numbers: Iterator[float], length: int, operators: str) -> tuple[str, int]:
    """Draw an expression of `length` symbols; return it with its value modulo 5."""
    if length in LEAVES:
        number = int(next(numbers) * MODULUS)
        return LEAVES[length].format(number), (number if length % 2 else -number) % MODULUS
    size = 1 + int(next(numbers) * (length - 4))
    left, a = _expression(numbers, size, operators)
    right, b = _expression(numbers, length - 3 - size, operators)
    operator = operators[int(next(numbers) * len(operators))]
    value = {"+": a + b, "-": a - b, "*": a * b}[operator]
    return f"({left}{operator}{right})", value % MODULUS


@cache
def _count_expressions(length: int, operators: int) -> tuple[int, int]:
    """Count the expressions of a length, and the numbers in all of them together."""
    if length in LEAVES:
        return MODULUS, MODULUS
    expressions = numbers = 0
    for size in range(1, length - 3):
        (left, in_left), (right, in_right) = (_count_expressions(part, operators) for part in (size, length - 3 - size))
        expressions += operators * left * right
        numbers += operators * (in_left * right + left * in_right)
    return expressions, numbers
