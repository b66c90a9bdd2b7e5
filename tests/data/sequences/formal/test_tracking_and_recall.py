"""Test the word problems of groups and the tasks of long memory against plain Python."""

from itertools import permutations

import numpy as np
import pytest

from lightning_dl2.data.sequences.formal.registry import MARKED_TASKS
from lightning_dl2.data.sequences.formal.tracking import cyclic, symmetric
from lightning_dl2.decoding.vocabulary import NOT_COUNTED


def draw(name: str, n: int, length: int):
    task = MARKED_TASKS[name]
    tokens, targets = task.draw(np.random.default_rng(0), n, length)
    assert tokens.shape == targets.shape == (n, task.num_tokens(length))
    assert 0 <= tokens.min() and tokens.max() < task.vocabulary_size(length)
    counted = targets[targets != NOT_COUNTED]
    assert 0 <= counted.min() and counted.max() < task.num_classes(length)
    return tokens.tolist(), targets.tolist()


@pytest.mark.parametrize(("table", "order"), [(cyclic(60), 60), (symmetric(3), 6), (symmetric(5, even=True), 60)])
def test_the_tables_are_those_of_groups(table, order):
    everyone = np.arange(order)
    assert table.shape == (order, order) and (table[0] == everyone).all() and (table[:, 0] == everyone).all()
    assert all({*row} == {*everyone} for row in [*table, *table.T])  # each has an inverse
    assert (table[table] == table[:, table]).all()  # (a b) c = a (b c)


@pytest.mark.parametrize(("name", "size"), [("word_problem_s3", 3), ("word_problem_s5", 5), ("word_problem_a5", 5)])
def test_permutations_act_one_after_the_other(name, size):
    elements = [*permutations(range(size))]
    if name == "word_problem_a5":
        elements = [e for e in elements if round(np.linalg.det(np.eye(size)[list(e)])) == 1]
    assert MARKED_TASKS[name].num_classes(1) == len(elements)
    for word, answers in zip(*draw(name, 20, 9), strict=True):
        things = list(range(size))
        for symbol, answer in zip(word, answers, strict=True):
            things = [elements[symbol][thing] for thing in things]
            assert tuple(things) == elements[answer]


@pytest.mark.parametrize(("name", "order"), [("word_problem_z2", 2), ("word_problem_z60", 60)])
def test_cyclic_groups_count(name, order):
    for word, answers in zip(*draw(name, 20, 9), strict=True):
        assert answers == [sum(word[: place + 1]) % order for place in range(9)]


@pytest.mark.parametrize("length", [1, 7])
def test_copying_memory(length):
    for tokens, targets in zip(*draw("copying_memory", 20, length), strict=True):
        assert tokens[10:] == [*[8] * (length - 1), 9, *[10] * 10]
        assert targets == [*[NOT_COUNTED] * (10 + length), *tokens[:10]]


@pytest.mark.parametrize("length", [16, 30])
def test_selective_copying(length):
    firsts = set()
    for tokens, targets in zip(*draw("selective_copying", 50, length), strict=True):
        kept = [token for token in tokens[:length] if token < 16]
        assert tokens[length:] == [17] * 16 and targets == [*[NOT_COUNTED] * length, *kept] and len(kept) == 16
        firsts.add(tokens.index(kept[0]))
    assert (len(firsts) > 3) == (length > 16)


@pytest.mark.parametrize("length", [1, 40])
def test_associative_recall(length):
    overwritten = False
    for tokens, targets in zip(*draw("associative_recall", 50, length), strict=True):
        keys, values, queries = tokens[: 2 * length : 2], tokens[1 : 2 * length : 2], tokens[2 * length :]
        memory = dict(zip(keys, values, strict=True))  # the last value of a key stays
        overwritten |= len(memory) < length
        assert sorted(queries) == sorted(keys) and targets[: 2 * length] == [NOT_COUNTED] * (2 * length)
        assert targets[2 * length :] == [memory[query] - 256 for query in queries]
    assert overwritten == (length > 1)


@pytest.mark.parametrize("length", [2, 9])
def test_induction_heads(length):
    places = set()
    for tokens, targets in zip(*draw("induction_heads", 200, length), strict=True):
        first, last = [place for place, token in enumerate(tokens) if token == 16]
        assert last == length and targets == [*[NOT_COUNTED] * length, tokens[first + 1]]
        places.add(first)
    assert places == set(range(length - 1))
