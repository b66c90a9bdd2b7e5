"""Test the answers of the Chomsky suite against oracles in plain Python, written from the definitions of the tasks."""

from itertools import product

import numpy as np
import pytest

from lightning_dl2.builtin.sequence_data import MARKED_LENGTHS
from lightning_dl2.data.sequences.formal.registry import MARKED_TASKS
from lightning_dl2.data.sequences.generators import draw_batch, get_task, holds_out
from lightning_dl2.data.sequences.splits import in_split
from lightning_dl2.data.splits import SPLITS
from lightning_dl2.decoding.vocabulary import NOT_COUNTED

ARITHMETIC = "01234+-*()x="


def value(text: str) -> int:
    return eval(text) % 5  # the operators of Python have the precedence of the definition


def solution(symbols: list[int]) -> list[int]:
    left, right = "".join(ARITHMETIC[symbol] for symbol in symbols).split("=")
    return [x for x in range(5) if value(left.replace("x", str(x))) == int(right)]


def stack(symbols: list[int]) -> list[int]:
    text = ""
    for symbol in symbols:
        text = text[:-1] if symbol == 2 else text + str(symbol % 3)
    return [*map(int, text[::-1]), 2]


def sums(symbols: list[int]) -> list[int]:
    return binary(symbols, lambda a, b: a + b)


def binary(symbols: list[int], compute) -> list[int]:
    place = symbols.index(2)
    a, b = (sum(bit << power for power, bit in enumerate(part)) for part in (symbols[:place], symbols[place + 1 :]))
    found, result = [], compute(a, b)
    while result or not found:
        result, bit = divmod(result, 2)
        found.append(bit)
    return [*found, 2]


def root(bits: list[int]) -> list[int]:
    number = int("".join(map(str, bits)), 2)
    result = max(x for x in range(number + 1) if x * x <= number)
    return [result >> power & 1 for power in reversed(range((len(bits) + 1) // 2))]


def hidden(symbols: list[int]) -> list[int]:
    half = len(symbols) // 2
    return [one for one in (0, 1) for full in [[one if s == 2 else s for s in symbols]] if full[:half] == full[half:]]


ORACLES = {
    "parity_check": lambda x: [x.count(1) % 2],
    "even_pairs": lambda x: [sum(a != b for a, b in zip(x, x[1:], strict=False)) % 2],
    "cycle_navigation": lambda x: [(x.count(2) - x.count(0)) % 5],
    "modular_arithmetic": lambda x: [value("".join("01234+-*"[symbol] for symbol in x))],
    "reverse_string": lambda x: [*reversed(x)],
    "modular_arithmetic_brackets": lambda x: [value("".join(ARITHMETIC[symbol] for symbol in x))],
    "stack_manipulation": stack,
    "solve_equation": solution,
    "duplicate_string": lambda x: x + x,
    "missing_duplicate": hidden,
    "odds_first": lambda x: [s for rest in (1, 0) for place, s in enumerate(x) if place % 2 == rest],
    "bucket_sort": lambda x: [symbol for symbol in range(5) for _ in range(x.count(symbol))],
    "binary_addition": sums,
    "binary_multiplication": lambda x: binary(x, lambda a, b: a * b),
    "compute_sqrt": root,
}
all_tasks = pytest.mark.parametrize("name", ORACLES)


@pytest.mark.parametrize("name", MARKED_TASKS)
def test_the_schema_knows_the_lengths_that_are_held_out(name):
    task, (least, held_out) = MARKED_TASKS[name], MARKED_LENGTHS[name]
    assert held_out == next((at for at in range(least, 99) if task.holds_out(at)), None)


def pairs(name: str, n: int, length: int, seed: int = 0):
    """Yield each input and answer as lists, and check how they stand in tokens and targets."""
    task = MARKED_TASKS[name]
    tokens, targets = task.draw(np.random.default_rng(seed), n, length)
    assert tokens.shape == targets.shape == (n, task.num_tokens(length))
    empty = task.vocabulary_size(length) - 1
    for row, answers in zip(tokens.tolist(), targets.tolist(), strict=True):
        size = row.index(empty)
        assert set(row[size:]) == {empty} and set(answers[:size]) == {NOT_COUNTED}
        answer = [target for target in answers[size:] if target != NOT_COUNTED]
        assert answer == answers[size : size + len(answer)]  # an answer has no gaps
        yield row[:size], answer


@all_tasks
def test_every_answer_is_that_of_the_definition(name):
    least = MARKED_LENGTHS[name][0]
    for length in {*range(least, 13), 17}:
        for given, answer in pairs(name, 40, length):
            assert length - 1 <= len(given) <= length
            assert answer == ORACLES[name](given), (given, answer)
    task = MARKED_TASKS[name]
    classes = {symbol for _, answer in pairs(name, 300, 12) for symbol in answer}
    assert classes == set(range(task.num_classes(12)))


@all_tasks
def test_every_input_is_drawn_and_their_number_is_exact(name):
    """The inputs of short lengths are as many as the task says, so that enough are held out."""
    task, least = MARKED_TASKS[name], MARKED_LENGTHS[name][0]
    for length in range(least, least + 5):
        number = task.num_sequences(length)
        if number < 700:
            found = {tuple(given) for given, _ in pairs(name, 12 * number + 100, length)}
            assert len(found) == number, length


@all_tasks
def test_batches_follow_from_seed_split_and_step_and_the_splits_are_apart(name):
    task = get_task(name)
    length = max(MARKED_LENGTHS[name][1], 8)
    seen = {}
    for split in SPLITS:
        tokens, targets = draw_batch(task, length, 40, seed=1, split=split, step=2)
        again = draw_batch(name, length, 40, seed=1, split=split, step=2)
        assert (tokens == again[0]).all() and (targets == again[1]).all()
        assert in_split(tokens.numpy(), split).all() and holds_out(task, length)
        assert (tokens != draw_batch(task, length, 40, seed=1, split=split, step=3)[0]).any()
        seen[split] = set(map(tuple, tokens.tolist()))
    assert not seen["train"] & seen["val"] and not seen["val"] & seen["test"]


@pytest.mark.parametrize("name", ["modular_arithmetic_brackets", "solve_equation", "binary_multiplication"])
def test_long_strings_are_drawn(name):
    tokens, _ = MARKED_TASKS[name].draw(np.random.default_rng(0), 2, 500)
    assert tokens.shape[1] >= 501


def test_the_grammar_of_brackets_is_whole():
    """Every expression of six symbols that Python reads and the definition allows is drawn."""
    task = MARKED_TASKS["modular_arithmetic_brackets"]
    numbers = ["{}", "-{}"]
    allowed = {
        f"({left.format(a)}{op}{right.format(b)})"
        for left, right in product(numbers, repeat=2)
        for op in "+-*"
        for a, b in product(range(5), repeat=2)
    }
    allowed = {text for text in allowed if len(text) == 6}
    found = pairs("modular_arithmetic_brackets", 3000, 6)
    drawn = {"".join(ARITHMETIC[symbol] for symbol in given) for given, _ in found}
    assert drawn == allowed and task.num_sequences(6) == len(allowed)
