"""Test the parameter counts of the textbook, by formula and as built."""

import csv
import random
from math import prod

import pytest

from lightning_dl2.analysis.recurrent.parameters import (
    CELLS,
    PARTS,
    Arguments,
    analyze,
    count_built,
    count_by_formula,
    count_textbook,
)
from lightning_dl2.common.errors import UserError
from lightning_dl2.nets import RecurrentClassifier
from tests.analysis.typed import typed


def test_an_lstm_classifier_has_the_textbooks_count():
    draw = random.Random(1)
    for _ in range(20):
        D, H, C = (draw.randint(1, 300) for _ in range(3))
        parts = count_by_formula(D, C, hidden_size=H, cell="lstm")
        assert count_textbook(parts) == 4 * (H * H + H * D + H) + H * C
        assert sum(count_by_formula(D, C, hidden_size=H, output_bias=False).values()) == count_textbook(parts) + 4 * H
        assert sum(parts.values()) == count_textbook(parts) + C + 4 * H  # C output biases and torch's second biases


@pytest.mark.parametrize("name", CELLS)
def test_formula_and_built_net_agree_part_by_part(name):
    draw = random.Random(name)
    for _ in range(20):
        options = CELLS[name] | {"hidden_size": draw.randint(1, 9), "num_layers": draw.randint(1, 4)}
        options |= {"bias": draw.random() < 0.7, "output_bias": draw.random() < 0.5}
        if draw.random() < 0.5:
            options["bidirectional"] = True
        sizes = draw.randint(1, 9), draw.randint(1, 9)
        embedding = draw.choice([None, draw.randint(1, 9)])
        net = RecurrentClassifier(
            *sizes, encoding="embedding" if embedding else "one_hot", embedding_size=embedding, **options
        )
        parts = count_by_formula(*sizes, embedding_size=embedding, **options)
        assert count_built(net) == parts, (sizes, embedding, options)
        assert sum(parts.values()) == sum(prod(parameter.shape) for parameter in net.parameters())


def test_cells_stand_to_each_other_as_their_gates():
    """Without torch's second bias, RNN, GRU and LSTM count as 1 : 3 : 4, and two directions count double."""

    def layer(name):
        parts = count_by_formula(7, 5, hidden_size=11, **CELLS[name])
        return {part: parts[part] for part in ("input", "recurrent", "biases")}, parts

    (rnn, _), (gru, _), (lstm, full), (twice, full_twice) = (layer(name) for name in ("rnn", "gru", "lstm", "bilstm"))
    assert gru == {part: 3 * number for part, number in rnn.items()}
    assert lstm == {part: 4 * number for part, number in rnn.items()}
    assert twice == {part: 2 * number for part, number in lstm.items()}
    assert full_twice["output"] == 2 * full["output"] and full_twice["output bias"] == full["output bias"]
    _, gers = layer("peephole, gers")
    _, assignment = layer("peephole, assignment")
    assert gers["peepholes"] == 3 * 11 and gers["recurrent"] == full["recurrent"]
    assert assignment["recurrent"] == 0 and assignment["peepholes"] == 3 * 11 * 11


@pytest.mark.slow
def test_the_command_writes_what_it_shows(tmp_path):
    table = analyze(
        tmp_path / "out", typed(Arguments, {"hidden": "6", "layers": "2", "directions": "2", "embedding": "4"})
    )
    rows = list(csv.DictReader((tmp_path / "out" / "parameters.csv").open()))
    assert table.row_count == len(rows) == len(CELLS)
    for row in rows:
        assert sum(int(row[part.replace(" ", "_")]) for part in PARTS) == int(row["total"]) == int(row["built"])
    assert (tmp_path / "out" / "parameters.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"hidden": "0"}, "hidden=0: allowed: whole numbers, 1 to 10000000"),
        ({"directions": "3"}, "directions=3: allowed: whole numbers, 1 to 2"),
        ({"embedding": "big"}, "embedding=big: allowed: whole numbers, 1 to 10000000"),
    ],
)
def test_wrong_values_are_told_and_nothing_is_written(words, says, tmp_path):
    with pytest.raises(UserError, match=says):
        analyze(tmp_path / "out", typed(Arguments, words))
    assert not (tmp_path / "out").exists()
