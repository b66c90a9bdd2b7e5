"""Test that tables hold the runs' numbers in every format."""

import csv
from io import StringIO

import pytest
from rich.console import Console

from lightning_dl2.common.command import console
from lightning_dl2.reporting.records import find
from lightning_dl2.reporting.tables import (
    Cell,
    choice_columns,
    columns,
    inert,
    markdown,
    remarks,
    runs_csv,
    table,
    variants_csv,
)
from lightning_dl2.reporting.variants import experiments
from tests.reporting.made_up import made_up_run


@pytest.fixture
def found(tmp_path):
    made_up_run(tmp_path, "task.cell=gru", accuracy=0.8)
    made_up_run(tmp_path, "task.cell=gru", seed=1, accuracy=0.9)
    made_up_run(tmp_path, "task.cell=rnn", losses=(3.0,), status="failed", error="NonFiniteError: at step 10")
    made_up_run(tmp_path, "experiment=baum_sweet", losses=(0.3, 0.2))
    return experiments(find([tmp_path]))


def read(text):
    return list(csv.DictReader(StringIO(text)))


@pytest.mark.slow
def test_csv_of_variants(found):
    baum_sweet, gru, rnn = read(variants_csv(found))
    assert (baum_sweet["experiment"], baum_sweet["best mean"], baum_sweet["best std"]) == ("baum_sweet", "0.2", "")
    assert (gru["variant"], gru["completed"]) == ("cell=gru", "2")
    assert float(gru["test/accuracy mean"]) == pytest.approx(0.85)
    assert float(gru["test/accuracy std"]) == pytest.approx(0.0707, abs=1e-4)
    assert (rnn["completed"], rnn["failed"], rnn["best mean"], rnn["test/accuracy mean"]) == ("0", "1", "", "")


@pytest.mark.slow
def test_csv_of_runs(found):
    lines = read(runs_csv(found))
    assert [line["state"] for line in lines] == ["completed", "completed", "completed", "failed"]
    assert [float(line["best"]) for line in lines] == [0.2, 0.5, 0.5, 3.0]
    assert lines[3]["error"] == "NonFiniteError: at step 10" and lines[1]["test/accuracy"] == "0.8"


def test_means_are_over_completed_runs_alone(tmp_path):
    """Every table takes means over completed runs only."""
    for seed, loss in enumerate((0.5, 0.7)):
        made_up_run(tmp_path, "task.cell=gru", seed=seed, losses=(loss,), accuracy=loss)
    for seed, status in enumerate(("failed", "interrupted"), 2):
        other = made_up_run(tmp_path, "task.cell=gru", seed=seed, losses=(9.0,) * 9) / "result.json"
        other.write_text(other.read_text().replace('"completed"', f'"{status}"'))
    made_up_run(tmp_path, "task.cell=gru", seed=4, losses=(9.0,) * 9, status=None)
    made_up_run(tmp_path, "task.cell=rnn", losses=(1.0,))
    (experiment,) = experiments(find([tmp_path]))
    gru, rnn = read(variants_csv([experiment]))
    assert (gru["variant"], rnn["variant"]) == ("cell=gru", "cell=rnn")  # failed runs do not affect the order
    assert (gru["completed"], gru["failed"], gru["interrupted"]) == ("2", "1", "2")
    means = {key.removesuffix(" mean"): float(value) for key, value in gru.items() if key.endswith(" mean")}
    expected = {"test/loss": 0.6, "test/accuracy": 0.6, "test/majority_baseline": 0.1, "best": 0.6, "last": 0.6}
    assert means == pytest.approx(expected | {"steps": 10, "seconds": 2.0, "parameters": 1234})
    assert {value for key, value in gru.items() if key.endswith(" n")} == {"2"}
    cells = [column.of(experiment.variants[0]) for column in columns(experiment)]
    values = {column.heading: cell.value for column, cell in zip(columns(experiment), cells, strict=True)}
    assert values["best val/loss"] == values["last val/loss"] == values["test/loss"] == pytest.approx(0.6)
    assert (values["steps"], values["training s"]) == (10, 2.0)


def test_no_cell_is_a_formula_for_a_spreadsheet(tmp_path):
    error = "=HYPERLINK(0)"
    made_up_run(tmp_path, status="failed", error=error, losses=(-2.0,))
    metrics = made_up_run(tmp_path, seed=1) / "result.json"
    metrics.write_text(metrics.read_text().replace('"test/loss"', '"=1+1"'))
    found = experiments(find([tmp_path]))
    failed = read(runs_csv(found))[0]
    assert failed["error"] == f"'{error}" and failed["best"] == "-2.0" and "'=1+1" in failed
    cells = ["=", "+1", "-1", "@a", "\ta", "\ra", "a=1", -1.5, -1, None]
    assert [inert(cell) for cell in cells] == ["'=", "'+1", "'-1", "'@a", "'\ta", "'\ra", "a=1", -1.5, -1, None]


def test_markdown(found):
    text = markdown(found, ["DIR: config.yaml is damaged"])
    assert "| cell | runs |" in text and "| gru | 2 | 0.5 ± 0 | 0.850 ± 0.071 |" in text
    # A variant without a completed run is in brackets, without test metrics.
    assert "| rnn | 0 + 1 failed |  |  | (3) | (3) | (10) | (1.5) | (1,234) |" in text
    assert "## baum_sweet" in text and "- DIR: config.yaml is damaged" in text


@pytest.mark.slow
def test_markdown_keeps_its_columns(tmp_path):
    for path in ("a|b", "c"):
        made_up_run(tmp_path, "experiment=text", "data=text", f"data.path='{path}'")
    lines = markdown(experiments(find([tmp_path])), []).splitlines()
    (header,) = [line for line in lines if line.startswith("| path")]
    (line,) = [line for line in lines if "a\\|b" in line]
    assert line.replace("\\|", "").count("|") == header.count("|")


def test_terminal(found, capsys):
    for experiment in found:
        console().print(table(experiment, console().width))
    told = capsys.readouterr().out
    assert "│ gru " in told and "0.850 ± 0.071" in told and "majority baseline 0.1" in told


def test_each_choice_has_a_column(tmp_path):
    for cell, rate in (("gru", "0.01"), ("gru", "0.002"), ("rnn", "0.01")):
        made_up_run(tmp_path, f"task.cell={cell}", f"optimizer.learning_rate={rate}")
    (experiment,) = experiments(find([tmp_path]))
    chosen = choice_columns(experiment)
    assert [column.heading for column in chosen] == ["learning_rate", "cell"]
    cells = {tuple(column.of(variant) for column in chosen) for variant in experiment.variants}
    rates = [Cell(text, float(text)) for text in ("0.01", "0.002")]
    assert cells == {(rates[0], Cell("gru", "gru")), (rates[1], Cell("gru", "gru")), (rates[0], Cell("rnn", "rnn"))}
    lines = read(variants_csv([experiment]))
    assert {(line["choice cell"], line["choice learning_rate"]) for line in lines} == {
        ("gru", "0.01"),
        ("gru", "0.002"),
        ("rnn", "0.01"),
    }
    screen = Console(width=40, record=True, file=StringIO())
    screen.print(table(experiment, 40))  # too narrow for one column per value
    assert "variant" in screen.export_text()


def test_the_heading_of_a_switch_says_which_switch(tmp_path):
    for solved in ("true", "false"):
        made_up_run(tmp_path, f"callbacks.solved.enabled={solved}")
    (experiment,) = experiments(find([tmp_path]))
    assert [column.heading for column in choice_columns(experiment)] == ["solved.enabled"]


@pytest.mark.slow
def test_a_test_split_that_is_the_validation_split_is_said(tmp_path):
    older = made_up_run(tmp_path, "experiment=text")  # result.json lacks the value
    (experiment,) = experiments(find([tmp_path]))
    says = "test/* is measured on: validation, which also chose the checkpoint"
    assert f"\n{says}\n" in markdown([experiment], [])
    assert read(runs_csv([experiment]))[0]["test split"] == "validation, which also chose the checkpoint"
    newer = made_up_run(tmp_path, "experiment=text", "data.test_fraction=0.1") / "result.json"
    newer.write_text(newer.read_text().replace('"status"', '"test_split": "held out", "status"'))
    (experiment,) = experiments(find([tmp_path]))
    text = markdown([experiment], [])
    assert says not in text and "| test split |" in text and "| held out |" in text
    made_up_run(tmp_path / "few", "experiment=random_combinations", "data.sequence_length=3")
    says = "test/* is measured on: the sequences of training: there are no others"
    assert says in markdown(experiments(find([tmp_path / "few"])), [])
    made_up_run(tmp_path / "sequences")
    assert "test split" not in markdown(experiments(find([tmp_path / "sequences"])), []) and older.exists()


def test_references_that_differ_get_a_column(tmp_path, monkeypatch):
    made_up_run(tmp_path, "data.sequence_length=6")
    path = made_up_run(tmp_path, "data.sequence_length=7")
    result = path / "result.json"
    result.write_text(result.read_text().replace('"test/majority_baseline": 0.1', '"test/majority_baseline": 0.2'))
    (experiment,) = experiments(find([tmp_path]))
    assert remarks(experiment) == [] and "| majority baseline |" in markdown([experiment], [])


def test_a_mean_says_which_runs_it_leaves_out(tmp_path):
    made_up_run(tmp_path)
    diverged = made_up_run(tmp_path, seed=1) / "result.json"
    diverged.write_text(diverged.read_text().replace('"test/loss": 0.5', '"test/loss": NaN'))
    assert "NaN" in diverged.read_text()
    found = experiments(find([tmp_path]))
    assert "| 0.5 (1 of 2) |" in markdown(found, [])
    (line,) = read(variants_csv(found))
    assert (line["test/loss mean"], line["test/loss n"], line["test/accuracy n"]) == ("0.5", "1", "2")


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_narrow_terminal_shows_what_matters_most_in_full(found, width):
    screen = Console(width=width, record=True, file=StringIO())
    screen.print(table(found[1], width))
    told = screen.export_text()
    assert "…" not in told and "test/loss" in told and "│ gru " in told and "0 + 1 failed" in told
    assert all(len(line) <= width for line in told.splitlines())
    assert ("no room for" in told) == (width < 200)
