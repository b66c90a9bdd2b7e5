"""Test the commands of this folder on one small run: figures, numbers, and errors of one line."""

import csv

import pytest

from lightning_dl2 import compose, train
from lightning_dl2.analyze import main
from tests.conftest import TRANSDUCER

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a run of a linear net that answers at each position."""
    words = (
        "data.name=word_problem_z2",
        "task.cell=mingru",
        "task.num_layers=1",
        "task.dropout=0",
        "trainer.max_steps=5",
    )
    return train(compose(*TRANSDUCER, *words, f"root={tmp_path_factory.mktemp('runs')}"))[1]["run"].path


def rows(path):
    return list(csv.DictReader(path.open()))


def test_counter(run, tmp_path, capsys):
    assert main(["counter", f"out={tmp_path}", f"run={run}", "lengths=3,5"]) == 0
    out = tmp_path.joinpath("counter", *run.parts[-3:])
    assert (out / "counter.png").stat().st_size > 10_000
    assert [int(row["count"]) for row in rows(out / "states.csv")] == [1, 2, 3, 2, 1, 0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0]
    units = rows(out / "units.csv")
    assert len(units) == 8 and [row["counter"] for row in units].count("True") == 1
    for wrong, says in (
        ("cells=gru", "cells=gru: a run is trained already; fix: leave it out or remove run=DIR"),
        ("symbols=0,2", "symbols=0,2: allowed: two tokens, 0 to 1, as 0,1"),
        ("layer=2", "layer=2: is above the top layer; allowed: 1 to 1"),
        ("lengths=1", "lengths=1: allowed: whole numbers N[,N...], 2 or more"),
    ):
        assert main(["counter", f"out={tmp_path}", f"run={run}", wrong]) == 2
        assert says in capsys.readouterr().err


def test_eigenvalues(run, tmp_path, capsys):
    assert main(["eigenvalues", f"out={tmp_path}", f"run={run}", "steps=6"]) == 0
    out = tmp_path.joinpath("eigenvalues", *run.parts[-3:])
    assert (out / "eigenvalues.png").stat().st_size > 10_000
    values = [float(row["real"]) for row in rows(out / "eigenvalues.csv")]
    assert len(values) == 2 * 8 and all(0 <= value <= 1 for value in values)  # a gate of each unit, at two symbols
    assert [int(row["repetitions"]) for row in rows(out / "gap.csv")] == [1, 2, 3, 4, 5]
    assert main(["eigenvalues", f"out={tmp_path}", f"run={run}", "symbol=2"]) == 2
    assert "symbol=2: allowed: 0 to 1" in capsys.readouterr().err


def test_tracking(run, tmp_path, capsys):
    assert main(["tracking", f"out={tmp_path}", f"run={run}", "size=32", "lengths=3,9"]) == 0
    out = tmp_path.joinpath("tracking", *run.parts[-3:])
    assert (out / "tracking.png").stat().st_size > 10_000
    short, long = rows(out / "tracking.csv")
    assert [short["length"], long["length"]] == ["3", "9"] and 0 <= float(short["accuracy"]) <= 1
    assert float(long["different_classes"]) < float(short["different_classes"]) < 1  # its eigenvalues lie in [0, 1]
    assert main(["tracking", f"out={tmp_path}", f"run={run}", "size=8"]) == 2
    assert "size=8: allowed: whole numbers, 16 or more" in capsys.readouterr().err
