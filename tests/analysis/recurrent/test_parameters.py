"""Test the parameter counts of the textbook, by formula and as built."""

import csv
import random
from math import prod

import pytest

from lightning_dl2.analysis.recurrent.parameter_formula import derive_formula, evaluate_formula, write_formula
from lightning_dl2.analysis.recurrent.parameters import (
    CELLS,
    COURSE,
    PARTS,
    Arguments,
    analyze,
    count_built,
    count_by_formula,
    count_textbook,
)
from lightning_dl2.common.errors import UserError
from lightning_dl2.nets import CELLS as NAMES
from lightning_dl2.nets import RecurrentClassifier, count_parameters
from lightning_dl2.nets.recurrent.lookup import find_cell
from tests.analysis.typed import typed

# By hand, from the equations in docs/experiments/sequences.md. H is 128: a selective scan has the rank H/16, and cells
# with heads have H/64 of 64 numbers each.
BY_HAND = {
    "rnn": "H² + H D + 2 H",
    "gru": "3 H² + 3 H D + 6 H",
    "lstm": "4 H² + 4 H D + 8 H",
    "peephole": "4 H² + 4 H D + 7 H",
    "mingru": "2 H D + 2 H",
    "minlstm": "3 H D + 3 H",
    "lru": "2 H² + 3 H D + 3 H",
    "s6": "H²/8 + 2 H D + 50 H",  # (H/16 + 32) H to select, H/16 H and H for the step sizes, 16 H for A, H to skip
    "indrnn": "H D + 2 H",
    "layernorm_lstm": "4 H² + 4 H D + 14 H",
    "slstm": "4 H² + 4 H D + 4 H",
    "mlstm": "4 H D + H D/32 + 4 H + H/32",  # two gates a head
    "gated_deltanet": "4 H D + H D/32 + 3 H/64 + 64",  # and an A a head, and a gain of 64
    "exprnn": "H² + H D + H",
    "stack_rnn": "H² + H D + 20 H + 11",  # 8 numbers of the top are read, 8 pushed, by 3 actions
}


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
    for _ in range(20 if name in COURSE else 3):  # of the others, each is built by way of a step
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


@pytest.mark.parametrize("name", BY_HAND)
def test_the_formula_is_the_one_of_the_equations(name):
    assert write_formula(derive_formula(find_cell(name), 10, 128)) == BY_HAND[name]


@pytest.mark.parametrize("name", [*NAMES, "tests.nets.recurrent.strangers.ModulePeephole"])
def test_the_formula_gives_the_count_also_where_a_cell_rounds(name):
    for D, H in ((10, 128), (7, 100), (3, 5), (1, 1))[2 * (name not in NAMES) :]:
        assert evaluate_formula(derive_formula(find_cell(name), D, H), D, H) == count_parameters(name, D, H)["total"]


def test_a_rounded_size_is_a_number_and_no_line():
    """At H = 100 the rank of s6 is 7: ceil(H/16) at 100, 200 and 300 lies on a line, by chance."""
    assert write_formula(derive_formula(find_cell("s6"), 7, 100)) == "2 H D + 64 H"  # 7 + 32 + 7 + 1 + 16 + 1


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
    assert table.row_count == len(rows) == len(CELLS) and {row["cell"] for row in rows} >= NAMES.keys() - {"peephole"}
    for row in rows:
        assert sum(int(row[part.replace(" ", "_")]) for part in PARTS) == int(row["total"]) == int(row["built"])
    assert (tmp_path / "out" / "parameters.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"cell": "lstm"}, "cell=lstm: allowed: none, or the dotted path of a cell of your own"),
        ({"cell": "digits.Missing"}, "cell=digits.Missing"),
        ({"hidden": "0"}, "hidden=0: allowed: whole numbers, 1 to 10000000"),
        ({"directions": "3"}, "directions=3: allowed: whole numbers, 1 to 2"),
        ({"embedding": "big"}, "embedding=big: allowed: whole numbers, 1 to 10000000"),
    ],
)
def test_wrong_values_are_told_and_nothing_is_written(words, says, tmp_path):
    with pytest.raises(UserError, match=says):
        analyze(tmp_path / "out", typed(Arguments, words))
    assert not (tmp_path / "out").exists()
