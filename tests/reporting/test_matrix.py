"""Test that a matrix shows the metric of the right runs, tells can from cannot, and leaves nothing out in silence."""

import csv

import pytest

from lightning_dl2.report import main
from lightning_dl2.reporting import matrix_tables
from lightning_dl2.reporting.matrix import matrices
from lightning_dl2.reporting.records import find
from lightning_dl2.reporting.size_curves import measured
from lightning_dl2.reporting.variants import experiments
from tests.reporting.made_up import made_up_run


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Write runs of two tasks with two cells and two seeds each; one field has no run, one none that completed."""
    root = tmp_path_factory.mktemp("runs")
    for seed, value in enumerate((0.99999, 1.0)):
        made_up_run(root, "experiment=chomsky/parity_check", "task.cell=rnn", seed=seed, at={50: 1.0, 100: value})
    for seed, value in enumerate((0.4, 1.0)):
        made_up_run(root, "experiment=chomsky/reverse_string", "task.cell=lstm", seed=seed, at={50: 1.0, 100: value})
    made_up_run(root, "experiment=chomsky/reverse_string", "task.cell=rnn", at={50: 0.6, 100: 0.5}, accuracy=1.0)
    made_up_run(root, "experiment=chomsky/parity_check", "task.cell=lstm", at={50: 1.0}, status="failed")
    return root


def only(root, *arguments):
    (found,) = matrices(experiments(find([root])), *arguments)
    return found


@pytest.mark.slow
def test_fields_tell_all_from_some_and_none(root):
    matrix = only(root)
    assert (matrix.keys, matrix.metric, matrix.solved) == (("data.name", "task.cell"), "test/accuracy_beyond", 0.99)
    assert {place: matrix.verdict(field) for place, field in matrix.fields.items()} == {
        ("parity_check", "rnn"): "all",
        ("parity_check", "lstm"): "",
        ("reverse_string", "lstm"): "some",
        ("reverse_string", "rnn"): "none",
    }
    assert matrix.rows == ["parity_check", "reverse_string"] and matrix.columns == ["rnn", "lstm"]  # solved ones first
    assert matrix.fields["parity_check", "rnn"].values == [pytest.approx(0.999995), 1.0]
    assert matrix.references == {row: ("majority baseline", 0.1) for row in matrix.rows}


def test_only_an_accuracy_without_error_reads_one(root):
    parity, *_, reverse = matrix_tables.lines(only(root))
    assert parity == ["parity_check", "● 0.999 ± 3.5e-06", "0 + 1 failed", "0.100"]
    assert reverse == ["reverse_string", "○ 0.550", "◐ 0.850 ± 0.21", "0.100"]


@pytest.mark.slow
def test_the_metric_is_one_that_all_runs_have(root, tmp_path):
    short = made_up_run(tmp_path, "experiment=chomsky/odds_first", accuracy=0.95)
    assert only(root, None, "test/accuracy").fields["reverse_string", "rnn"].values == [1.0]
    (mixed,) = matrices(experiments(find([root, short])))
    assert mixed.metric == "test/accuracy" and mixed.fields["odds_first", "lstm"].values == [0.95]
    loss = only(root, None, "test/loss")
    assert loss.solved is None and {loss.verdict(field) for field in loss.fields.values()} == {""}


def test_any_two_keys_make_a_matrix(root):
    matrix = only(root, ("task.cell", "experiment"), None, 0.5)
    assert matrix.rows == ["lstm", "rnn"] and matrix.columns == ["chomsky/parity_check", "chomsky/reverse_string"]
    assert matrix.verdict(matrix.fields["rnn", "chomsky/reverse_string"]) == "all"


def test_of_several_variants_the_best_in_validation_is_shown_and_the_others_are_counted(root, tmp_path):
    words = ("experiment=chomsky/reverse_string", "task.cell=rnn", "task.hidden_size=9")
    better = made_up_run(tmp_path, *words, losses=(0.1,), at={50: 0.5, 100: 0.5})
    (matrix,) = matrices(experiments(find([root, better])))
    field = matrix.fields["reverse_string", "rnn"]
    assert field.values == [0.5] and field.others == 1
    assert any("1 fields have several variants" in remark for remark in matrix.remarks())


def test_a_single_row_or_column_is_no_map_unless_it_is_asked_for(tmp_path):
    for cell in ("rnn", "lstm"):
        made_up_run(tmp_path, f"task.cell={cell}")
    found = experiments(find([tmp_path]))
    assert matrices(found) == []
    (matrix,) = matrices(found, ("experiment", "task.cell"))
    assert matrix.metric == "test/accuracy" and matrix.rows == ["palindrome"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["matrix=data.name"], "matrix=data.name: allowed: two different keys, ROWS,COLUMNS"),
        (["matrix=data.name,task.cel"], "task.cel is not a key of these runs; did you mean task.cell"),
        (["matrix=data.name,seed"], "matrix=data.name,seed: the report averages over seed"),
        (["matrix=data.name,task.cell", "metric=test/acuracy"], "did you mean test/accuracy"),
        (["metric=test/accuracy"], "metric=test/accuracy: these runs make no matrix; fix: matrix=ROWS,COLUMNS"),
        (["solved=0.5"], "solved=0.5: these runs make no matrix; fix: matrix=ROWS,COLUMNS"),
    ],
)
def test_wrong_keys_are_one_line(words, says, tmp_path, capsys):
    made_up_run(tmp_path / "runs")
    assert main([str(tmp_path / "runs"), f"out={tmp_path / 'r.html'}", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and says in error and not (tmp_path / "r.html").exists()


@pytest.mark.slow
def test_all_files_hold_the_matrix(root, tmp_path, capsys):
    out = tmp_path / "r.html"
    assert main([str(root), f"out={out}", "details=0"]) == 0
    assert "◐ 0.850" in capsys.readouterr().out
    text = (tmp_path / "r.md").read_text("utf-8")
    assert text.index("## test/accuracy_beyond: data.name × task.cell") < text.index("## chomsky/parity_check")
    assert "| reverse_string | ○ 0.550 | ◐ 0.850 ± 0.21 | 0.100 |" in text
    lines = {(line["row"], line["column"]): line for line in csv.DictReader((tmp_path / "r_matrix.csv").open())}
    line = lines["reverse_string", "lstm"]
    assert (line["solved"], line["n"], float(line["mean"])) == ("1", "2", pytest.approx(0.85))
    assert float(line["test/accuracy_at_100 mean"]) == pytest.approx(0.7)
    assert lines["parity_check", "lstm"]["failed"] == "1" and lines["parity_check", "lstm"]["mean"] == ""
    page = out.read_text("utf-8")
    assert page.count('class="field"') == 4 and "test/accuracy against length" in page
    assert main([str(root / "chomsky" / "parity_check"), f"out={out}", "details=0"]) == 0
    assert not (tmp_path / "r_matrix.csv").exists()  # that of the earlier report is no part of this one


def test_points_are_read_from_the_names(root):
    assert measured(["test/accuracy_at_50", "test/f1", "test/accuracy_at_100", "test/f1_at_3"]) == ["test/accuracy"]
