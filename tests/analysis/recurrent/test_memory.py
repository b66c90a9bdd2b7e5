"""Test the accuracy of trained nets at and beyond their training length."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lightning_dl2 import compose, train
from lightning_dl2.analysis.recurrent import lengths
from lightning_dl2.analysis.recurrent.lengths import Measured, accuracy, group_lines
from lightning_dl2.analysis.recurrent.memory import WORDS, Arguments, analyze
from lightning_dl2.analysis.recurrent.trained import load_classifier, train_small, untrained_classifier
from lightning_dl2.common.errors import UserError
from lightning_dl2.run.directory import Run
from tests.analysis.typed import typed

LENGTH = 8


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Run]:
    root = tmp_path_factory.mktemp("runs")
    words = [f"data.sequence_length={LENGTH}", "task.hidden_size=32"]
    lstm = train_small(root, *words, "task.forget_bias=4.0")
    rnn = train_small(root, *words, "task.cell=rnn", *WORDS["rnn"])
    return {"lstm": lstm, "rnn": rnn, "bilstm": train_small(root, *words, "task.cell=bilstm")}


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open(encoding="utf-8")))


@pytest.mark.slow
def test_at_the_length_of_training_it_is_the_test_accuracy_and_untrained_it_is_chance(runs):
    for run in runs.values():
        task, data = load_classifier(run)
        reached = run.result()["metrics"]["test/accuracy"]
        assert reached > 0.99
        assert accuracy(task.net, "decimal_palindrome", LENGTH, 1024) == pytest.approx(reached, abs=1e-6)
        net = untrained_classifier(run, data).net
        for length in (LENGTH, 5 * LENGTH):
            assert abs(accuracy(net, "decimal_palindrome", length, 2048) - 0.1) < 0.05


@pytest.mark.slow
def test_it_is_tested_on_the_test_set_also_where_it_errs(tmp_path):
    run = train_small(tmp_path, f"data.sequence_length={LENGTH}", "trainer.max_steps=40")
    reached = accuracy(load_classifier(run)[0].net, "decimal_palindrome", LENGTH, 1024)
    metrics = run.result()["metrics"]
    assert 0.15 < reached < 0.999 and reached == pytest.approx(metrics["test/accuracy"], abs=1e-6)
    assert reached != pytest.approx(metrics["val/accuracy"], abs=1e-6)


@pytest.mark.slow
def test_an_lstm_with_a_high_forget_bias_remembers_longer_than_it_was_trained_the_plain_rnn_does_not(runs):
    nets = {cell: load_classifier(run)[0].net for cell, run in runs.items()}
    for length in (2 * LENGTH, 4 * LENGTH):
        reached = {cell: accuracy(net, "decimal_palindrome", length, 1024) for cell, net in nets.items()}
        assert reached["lstm"] > 0.75 and reached["rnn"] < 0.5, (length, reached)


@pytest.mark.slow
def test_of_two_directions_one_ends_on_what_the_other_has_to_remember(runs):
    """A bidirectional net is right at every length, because its second direction ends on the first digit."""
    net = load_classifier(runs["bilstm"])[0].net
    assert all(accuracy(net, "decimal_palindrome", factor * LENGTH, 1024) > 0.99 for factor in (1, 4, 16))


@pytest.mark.slow
def test_what_only_some_runs_have_a_key_for_tells_them_apart():
    runs = [
        Measured(Path(), compose("experiment=palindrome", *words), None, 9, {20: accuracy}, {20: 0.1})
        for words, accuracy in (((), 0.2), (("+optimizer.arguments.amsgrad=true",), 0.9))
    ]
    assert [line.name for line in group_lines(runs)] == ["lstm amsgrad=null", "lstm amsgrad=true"]


@pytest.mark.slow
def test_each_length_has_its_own_baseline_and_a_line_the_mean_of_its_runs(runs, monkeypatch):
    monkeypatch.setattr(lengths, "majority_share", lambda task, length, labels: (length, len(labels)))
    measured = lengths.measure(runs["rnn"], "best", [LENGTH, 3], 8)
    assert measured.baselines == {LENGTH: (LENGTH, 8), 3: (3, 8)}
    others = [replace(measured, accuracies=accuracies) for accuracies in ({3: 0.2, 8: 0.5}, {3: 0.6})]
    assert lengths.Line("rnn", LENGTH, others).means() == {3: pytest.approx(0.4), 8: 0.5}


@pytest.mark.slow
def test_the_command_tests_a_tree_and_names_what_is_not_finished(runs, tmp_path, capsys):
    root = runs["lstm"].path.parents[2]
    tree = shutil.copytree(root, tmp_path / "tree")
    unfinished = tree / "unfinished"
    shutil.copytree(runs["rnn"].path, unfinished)
    result = json.loads((unfinished / "result.json").read_text())
    (unfinished / "result.json").write_text(json.dumps(result | {"status": "interrupted"}))
    stepless = shutil.copytree(runs["rnn"].path, tree / "without_steps")  # an edited file
    result = {key: value for key, value in result.items() if key not in ("steps", "solved_at")}
    (stepless / "result.json").write_text(json.dumps(result))
    analyze(tmp_path / "out", typed(Arguments, {"run": str(tree), "size": "1024", "lengths": f"{2 * LENGTH},{LENGTH}"}))
    assert capsys.readouterr().err == (
        f"skipped: run={unfinished}: is not finished\n"
        f"skipped: run={stepless}: result.json does not say the steps; fix: write it again as it was\n"
    )
    for row in rows(tmp_path / "out" / "accuracy.csv"):
        assert row["trained_at"] == str(LENGTH)
        if row["length"] == str(LENGTH):  # with few sequences the baseline counts the test labels
            reached = runs[row["net"]].result()["metrics"]
            assert float(row["accuracy"]) == pytest.approx(reached["test/accuracy"], abs=1e-6)
            assert float(row["majority_baseline"]) == pytest.approx(reached["test/majority_baseline"], abs=1e-6)
        else:
            assert row["majority_baseline"] == "0.1"
    solved = {row["net"]: row["solved_at"] for row in rows(tmp_path / "out" / "runs.csv")}
    assert solved == {cell: str(run.result()["solved_at"]) for cell, run in runs.items()}
    assert (tmp_path / "out" / "memory.png").stat().st_size > 10_000


@pytest.mark.slow
def test_without_a_run_it_trains_what_is_asked_for_once(tmp_path):
    words = {"cells": "gru", "trained_at": "3", "seeds": "2", "max_steps": "10", "size": "64"}
    table = analyze(tmp_path / "out", typed(Arguments, words))
    assert table.row_count == 1 and len(rows(tmp_path / "out" / "runs.csv")) == 2
    files = sorted((tmp_path / "out" / "runs").rglob("result.json"))
    before = [file.stat().st_mtime_ns for file in files]
    analyze(tmp_path / "out", typed(Arguments, words))
    assert len(before) == 2 and before == [file.stat().st_mtime_ns for file in files]


@pytest.mark.slow
def test_runs_that_cannot_be_compared_are_refused(runs, tmp_path, tiny):
    _, objects = train(tiny("experiment=random_combinations", "data.sequence_length=6", "trainer.val_check_interval=5"))
    combinations = objects["run"].path
    with pytest.raises(UserError, match="random_combinations has other tokens at each length"):
        analyze(tmp_path / "out", typed(Arguments, {"run": str(combinations), "lengths": "6,12"}))
    with pytest.raises(UserError, match="runs of decimal_palindrome and random_combinations"):
        analyze(tmp_path / "out", typed(Arguments, {"run": f"{runs['rnn'].path},{combinations}", "lengths": "6"}))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"cells": "rnn,lsmt"}, "cells=rnn,lsmt: did you mean lstm"),
        ({"lengths": "4,x"}, r"lengths=4,x: allowed: whole numbers N\[,N...\], 1 or more"),
        ({"trained_at": "1"}, r"trained_at=1: allowed: whole numbers N\[,N...\], 2 or more"),
        ({"max_steps": "9"}, "max_steps=9: allowed: whole numbers, 10 or more"),
        ({"checkpoint": "first"}, "checkpoint=first: allowed: best, last"),
        ({"run": "x", "seeds": "2"}, "seeds=2: a run is trained already; fix: leave it out or remove run=DIR"),
        ({"run": "/nowhere"}, "run=/nowhere: there is no such directory"),
    ],
)
def test_wrong_values_are_told_and_nothing_is_written(words, says, tmp_path):
    with pytest.raises(UserError, match=says):
        analyze(tmp_path / "out", typed(Arguments, words))
    assert not (tmp_path / "out").exists()
