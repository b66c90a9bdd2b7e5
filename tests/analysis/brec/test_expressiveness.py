"""Test the command `analyze expressiveness`: its files, its resume, and what it refuses."""

import csv

import numpy as np
import pytest

from lightning_dl2.analysis.brec import expressiveness
from lightning_dl2.analysis.brec.expressiveness import Arguments, analyze
from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.brec import PARTS, read_brec
from tests.analysis.typed import typed
from tests.graph_files import REAL, needs
from tests.graph_pairs import write_brec

QUICK = {"num_layers": "2", "hidden_size": "8", "hops": "2", "epochs": "1"}


@pytest.fixture
def files(tmp_path):
    return write_brec(tmp_path / "brec")


def test_pairs_are_read_in_the_papers_order(files):
    pairs = read_brec(files)
    assert [pair.part for pair in pairs] == list(PARTS) and [pair.number for pair in pairs] == list(range(7))
    assert [pair.first.num_nodes for pair in pairs] == [6, 6, 16, 6, 6, 6, 6] and pairs[2].second.num_edges == 96
    assert [pair.number for pair in read_brec(files, ("cfi",))] == [4]


@pytest.mark.slow
def test_pairs_are_counted_and_a_second_command_goes_on(files, tmp_path, monkeypatch):
    values = {"net": "1-wl,3-wl,gin,edge:gin", "data.path": str(files), "parts": "basic,strongly_regular", **QUICK}
    table = analyze(tmp_path / "out", typed(Arguments, values))
    assert table.row_count == 4
    rows = list(csv.DictReader((tmp_path / "out/expressiveness.csv").open()))
    counts = {row["net"]: (float(row["basic (1)"]), float(row["strongly_regular (1)"])) for row in rows}
    assert counts == {"1-wl": (0, 0), "3-wl": (1, 0), "gin": (0, 0), "edge:gin": (1, 1)}
    assert {row["unreliable"] for row in rows} == {"0.0"} and (tmp_path / "out/expressiveness.png").exists()

    store = tmp_path / "out/comparisons.csv"
    whole = store.read_text("utf-8")
    assert len(whole.splitlines()) == 9
    store.write_text(whole[:-9], "utf-8")  # a kill within the last line
    measured, measure = [], expressiveness._measure
    monkeypatch.setattr(
        expressiveness, "_measure", lambda *which: measured.append((which[0], which[3].part)) or measure(*which)
    )
    analyze(tmp_path / "out", typed(Arguments, values))
    assert measured == [("edge:gin", "strongly_regular")]
    strip = [line.rsplit(",", 1)[0] for line in whole.splitlines()]  # but for the seconds
    assert [line.rsplit(",", 1)[0] for line in store.read_text("utf-8").splitlines()] == strip
    analyze(tmp_path / "out", typed(Arguments, values | {"epochs": "2", "parts": "basic", "net": "3-wl,gin"}))
    assert measured[1:] == [("gin", "basic")]  # other settings; the refinement has none


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"parts": "basics"}, "parts=basics: did you mean basic"),
        ({"batch_size": "15"}, "batch_size=15: allowed: even numbers"),
        ({"net": "gat", "hidden_size": "0"}, "hidden_size=0: allowed: whole numbers, 1 or more"),
        ({"data.path": "nowhere"}, "data.path=nowhere: has no file basic.npy"),
    ],
)
def test_wrong_values_are_named_and_nothing_is_written(values, says, tmp_path):
    with pytest.raises(UserError, match=says):
        analyze(tmp_path / "out", typed(Arguments, {"data.path": str(tmp_path)} | values))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [(np.arange(4), "holds int64"), (np.array(["I?", "zz"]), "is no graph"), (b"no numpy", "cannot be read")],
)
def test_damaged_files_are_told(content, says, files, tmp_path):
    if isinstance(content, bytes):
        (files / "cfi.npy").write_bytes(content)
    else:
        np.save(files / "cfi.npy", content)
    with pytest.raises(UserError, match=says):
        analyze(tmp_path / "out", typed(Arguments, {"net": "1-wl", "data.path": str(files)}))


@needs("brec")
@pytest.mark.slow
def test_the_public_files_have_400_pairs_that_1_wl_cannot_tell_apart(tmp_path):
    values = {"net": "1-wl", "data.path": str(REAL / "brec")}
    analyze(tmp_path / "out", typed(Arguments, values))
    (row,) = csv.DictReader((tmp_path / "out/expressiveness.csv").open())
    assert row["all (400)"] == "0.0"
