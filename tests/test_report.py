"""Test that `report` shows real runs as in result.json, reports errors in one line, and leaves no half-written file."""

import csv
import json
import os
import statistics

import pytest

from lightning_dl2 import train
from lightning_dl2.report import main
from tests.reporting.made_up import PNG, made_up_run


@pytest.mark.slow
def test_real_runs(tiny, tmp_path, capsys):
    runs = [train(tiny(f"seed={seed}", "trainer.max_steps=6"))[1]["run"] for seed in range(2)]
    root = runs[0].path.parent.parent.parent
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main([str(root), f"out={tmp_path / 'out' / 'r.html'}"]) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[-1] == str(tmp_path / "out" / "r.html")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"r.html", "r.csv", "r_runs.csv", "r.md"}
    (line,) = csv.DictReader((tmp_path / "out" / "r.csv").read_text().splitlines())
    results = [json.loads(run.result_file.read_text()) for run in runs]
    losses = [result["metrics"]["test/loss"] for result in results]
    assert float(line["test/loss mean"]) == pytest.approx(statistics.mean(losses))
    assert float(line["test/loss std"]) == pytest.approx(statistics.stdev(losses))
    assert float(line["best mean"]) == pytest.approx(statistics.mean(r["metrics"]["val/loss"] for r in results))
    assert int(float(line["parameters mean"])) == results[0]["parameters"] and line["completed"] == "2"
    assert {path: path.read_bytes() for path in before} == before  # the report only reads


@pytest.mark.slow
def test_a_run_directory_is_a_tree_of_one(tmp_path, capsys):
    path = made_up_run(tmp_path / "runs")  # the directory's name contains an equality sign
    assert main([str(path), f"out={tmp_path / 'r.html'}"]) == 0
    assert "0.9" in capsys.readouterr().out


@pytest.mark.slow
def test_damaged_directories_are_told_and_skipped(tmp_path, capsys):
    made_up_run(tmp_path / "runs")
    bad = made_up_run(tmp_path / "runs", seed=1)
    (bad / "result.json").write_text("")
    assert main([str(tmp_path / "runs"), f"out={tmp_path / 'r.html'}"]) == 0
    assert capsys.readouterr().err == f"skipped: {bad}: result.json is damaged\n"
    assert f"{bad}: result.json is damaged" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "nowhere: there is no such directory"),
        (["seed=0"], "seed=0: there is no such directory"),
        (["runs/text/cell=gru/seed=7"], "runs/text/cell=gru/seed=7: there is no such directory"),
        (["out=r.html"], "DIR: is missing"),
        (["runs", "out=r.pdf"], "allowed: a name that ends in .html"),
        (["runs", "details=-1"], "allowed: whole numbers"),
        (["runs", "deatils=3"], "did you mean details"),
        (["runs", "over=data.flod"], "over=data.flod: is not a key of these runs"),
        (["empty"], "empty: holds no run"),
        (["~nobody_at_all/runs"], "~nobody_at_all/runs: is not a path"),
        (["x" * 5000], "is not a path"),
        (["runs", "out=/proc/r.html"], "out=/proc/r.html: cannot be written"),
    ],
)
def test_wrong_words_are_one_line(words, says, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made_up_run(tmp_path / "runs")
    (tmp_path / "empty").mkdir()
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and says in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "runs"]


@pytest.mark.slow
def test_nothing_but_an_earlier_report_is_replaced(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = made_up_run(tmp_path / "runs")
    for name in ("README.md", "page.html", "figures.csv"):
        (tmp_path / name).write_text("mine")
    (tmp_path / "directory.html").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for out in ("README.html", "page.html", "figures.html", "directory.html", f"{run}/metrics.html"):
        assert main(["runs", f"out={out}"]) == 2
        assert f"out={out}" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    for _ in range(2):  # a report may replace its own file
        assert main(["runs", "out=new.html"]) == 0


def test_names_of_any_bytes(tmp_path, capsys):
    root = tmp_path / os.fsdecode(b"caf\xe9")
    run = made_up_run(root, status="failed", error="\udcff")
    (run.parent.parent / os.fsdecode(b"\xe9.png")).write_bytes(PNG)
    assert main([str(root), f"out={tmp_path / 'r.html'}"]) == 0
    assert "caf\\udce9" in (tmp_path / "r.html").read_text("utf-8")


def test_help(capsys):
    assert main(["--help"]) == 0
    assert "out=report.html" in capsys.readouterr().out
