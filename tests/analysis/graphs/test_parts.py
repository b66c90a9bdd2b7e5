"""Test the files that the command `analyze graphs` writes and the values that it refuses."""

import csv

import pytest

from lightning_dl2.analysis.graphs.figures import Arguments, analyze
from lightning_dl2.common.errors import UserError
from tests.analysis.typed import typed


@pytest.mark.slow
def test_the_numbers_behind_the_figure_are_written(tmp_path):
    table = analyze(tmp_path, typed(Arguments, {"part": "spreading"}))
    assert table.row_count == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adjacency.csv", "spreading.csv", "spreading.png"]
    rows = list(csv.DictReader((tmp_path / "spreading.csv").open()))
    assert [row["update"] for row in rows if float(row["E"]) > 0][0] == "4"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"part": "lookups"}, "part=lookups: did you mean lookup"),
        ({"seed": "-1"}, "seed=-1: allowed: whole numbers, 0 to"),
        ({"part": "paths", "data": "cora"}, "data=cora: part=paths reads no data"),
        (
            {"part": "oversmoothing", "data": "nowhere"},
            "data.path=nowhere: there is no such file; allowed: a directory with ",
        ),
    ],
)
def test_wrong_values_are_named_and_nothing_is_written(tmp_path, values, message):
    with pytest.raises(UserError, match=message):
        analyze(tmp_path / "out", typed(Arguments, values))
    assert not (tmp_path / "out").exists()
