"""Test that Optuna proposes, learns and prunes, and that a search killed at any time resumes with the same runs."""

import csv
import errno
import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("optuna")

from optuna.pruners import HyperbandPruner  # noqa: E402
from optuna.storages import JournalStorage  # noqa: E402
from optuna.storages.journal import JournalFileBackend  # noqa: E402
from optuna.study import load_study  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

from lightning_dl2.common.errors import UserError  # noqa: E402
from lightning_dl2.common.files import WriteError  # noqa: E402
from lightning_dl2.config import schema  # noqa: E402
from lightning_dl2.config.compose import compose, compose_multirun  # noqa: E402
from lightning_dl2.run.directory import Run  # noqa: E402
from lightning_dl2.sweeps.jobs import Objective
from lightning_dl2.sweeps.overrides import SweptKey, read_overrides  # noqa: E402
from lightning_dl2.sweeps.search import Search, corners, distribution  # noqa: E402
from tests.sweeps.sweeping import LONG, Sweeper  # noqa: E402
from tests.sweeps.test_sweep import jobs, later, resumed_within  # noqa: E402

SPACE = ("optimizer.learning_rate=tag(log,interval(1e-3,1e-1))", "task.hidden_size=range(4,9,2)", "task.cell=lstm,gru")


def swept(word: str) -> SweptKey:
    return read_overrides([word]).swept[0]


@pytest.mark.parametrize(
    "word, told",
    [
        ("task.dropout=interval(0,0.5)", "FloatDistribution(high=0.5, log=False, low=0.0, step=None)"),
        ("task.dropout=tag(log,interval(0.1,1))", "FloatDistribution(high=1.0, log=True, low=0.1, step=None)"),
        ("task.dropout=range(0,0.5,0.25)", "FloatDistribution(high=0.25, log=False, low=0.0, step=0.25)"),
        ("seed=range(2,9,3)", "IntDistribution(high=8, log=False, low=2, step=3)"),
        ("seed=tag(log,int(interval(1,64)))", "IntDistribution(high=64, log=True, low=1, step=1)"),
        ("data.fanouts=[3,3],null", "CategoricalDistribution(choices=('[3,3]', 'null'))"),
        ("optimizer.learning_rate=1e-2,1e-1", "CategoricalDistribution(choices=('0.01', '0.1'))"),
    ],
)  # fmt: skip
def test_distributions(word, told):
    assert str(distribution(swept(word))) == told


def test_corners_try_each_end_and_each_choice():
    found = corners([swept(word) for word in SPACE])
    rates, sizes, cells = ({values[word.partition("=")[0]] for values in found} for word in SPACE)
    assert (rates, sizes, cells) == ({"0.001", "0.1"}, {"4", "8"}, {"lstm", "gru"})
    assert len(found) == 4


class Untrained:
    """A job without a run, whose logged values are set."""

    def __init__(self, number, varies, overrides):
        self.varies, self.inactive, self.pruned, self.logged = varies, {}, False, {}
        trainer = SimpleNamespace(max_steps=24, val_check_interval=5, accumulate_grad_batches=1)
        self.config = SimpleNamespace(trainer=trainer)
        self.number, self.code, self.finished, self.state = number, None, False, "held"

    def history(self, metric):
        return self.logged


def search(sweeper: Sweeper, *own: str) -> Search:
    overrides = read_overrides(sweeper.overrides(*SPACE))
    return Search(overrides, [], compose_multirun(*own).sweep)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["random", "tpe"])
def test_a_search_taken_up_draws_what_it_would_have_drawn(sweeper, tmp_path, monkeypatch, method):
    """A search resumed every few trials proposes the same as an uninterrupted one. Values are made up."""

    class Completed(Untrained):
        finished = property(lambda self: True, lambda self, value: None)

    monkeypatch.setattr("lightning_dl2.sweeps.search.Job", Completed)

    def drawn(directory, processes, *own):
        directory.mkdir()
        for trials in processes:
            part = search(sweeper, f"sweep={method}", f"sweep.trials={trials}", "sweep.startup_trials=2", *own)
            part.open(directory, Objective("val/loss", "min"), dry=False)
            while job := part.next():
                rate = float(job.varies["optimizer.learning_rate"])
                part.study.tell(part._trials[job], abs(rate - 0.02))
        return [trial.params for trial in part.study.get_trials(deepcopy=False)]

    whole = drawn(tmp_path / "whole", [6])
    assert drawn(tmp_path / "parts", [1, 4, 6]) == whole
    assert len({str(params) for params in whole}) == 6
    assert drawn(tmp_path / "seed", [6], "sweep.seed=1") != whole


def study_of(sweeper: Sweeper):
    (journal,) = sweeper.root.glob("sweeps/*/optuna.log")
    storage = JournalStorage(JournalFileBackend(str(journal)))
    return load_study(study_name=journal.parent.name, storage=storage)


@pytest.mark.slow
def test_a_stopped_search_goes_on_with_the_same_runs(sweeper, capsys):
    """A search resumes after a kill that leaves a running trial, half a line or Optuna's lock behind."""
    overrides = ("sweep=random", "sweep.trials=2", "optimizer.learning_rate=interval(0.01,0.02)", "launcher.jobs=1")
    later(lambda: list(sweeper.root.rglob("last.ckpt")), os.kill, os.getpid(), signal.SIGTERM)
    assert sweeper(*overrides, *LONG) == 143
    (run,) = map(Run, sweeper.runs())
    (trial,) = study_of(sweeper).get_trials()
    assert trial.state == TrialState.RUNNING
    steps = run.result()["steps"]
    (journal,) = sweeper.root.glob("sweeps/*/optuna.log")
    with open(journal, "a", encoding="utf-8") as file:
        file.write('{"op_code": 4, "worker')
    journal.with_name("optuna.log.lock").symlink_to(journal)

    (directory,) = (sweeper.root / "sweeps").iterdir()
    capsys.readouterr()
    # The same search with another length, which is part of the overrides, has the old name.
    held = directory / "sweep.yaml"
    held.write_text(held.read_text().replace("max_steps=100000", f"max_steps={steps + 3}"))
    overrides += (f"sweep.name={directory.name}", f"trainer.max_steps={steps + 3}", LONG[1])
    assert sweeper(*overrides) == 0
    first, second = study_of(sweeper).get_trials()
    assert (first.state, second.state) == (TrialState.COMPLETE, TrialState.COMPLETE)
    assert first.params == trial.params != second.params
    assert len(sweeper.runs()) == 2
    assert resumed_within(run, steps)
    assert first.value == run.result()["metrics"]["val/loss"]
    assert 5 in first.intermediate_values
    out, _ = capsys.readouterr()
    assert [row["state"] for row in jobs(out)] == ["completed", "completed"]
    assert (directory / "figures/sweep.png").exists()

    assert sweeper(*overrides) == 0 and sweeper.started == []
    assert sweeper(*overrides, "sweep.trials=3") == 0 and len(sweeper.started) == 1 and len(sweeper.runs()) == 3
    assert sweeper(*overrides, "sweep.trials=3", "dry=true") == 0


@pytest.mark.slow
def test_what_is_worse_than_the_median_is_stopped(sweeper, capsys):
    """A job below the median saves, is interrupted, and its trial is pruned. The seed draws the good rate first."""
    overrides = ("sweep=random", "sweep.trials=2", "sweep.pruner=median", "sweep.startup_trials=1", "sweep.seed=0")
    overrides += ("optimizer.learning_rate=1e-9,1e-2", "trainer.max_steps=20000", "trainer.log_every_n_steps=1000")
    overrides += ("task.dropout=0.0", "task.hidden_size=16", "trainer.val_check_interval=20")
    overrides += ("callbacks.solved.threshold=0.4", "callbacks.solved.times=1")
    assert sweeper(*overrides) == 0
    assert sweeper.started == ["optimizer.learning_rate=0.01", "optimizer.learning_rate=1e-09"]
    good, bad = study_of(sweeper).get_trials()
    assert (good.state, bad.state) == (TrialState.COMPLETE, TrialState.PRUNED)
    out, err = capsys.readouterr()
    assert [row["state"] for row in jobs(out)] == ["completed", "pruned"] and "pruned after" in err
    result = Run(jobs(out)[1]["run"]).result()
    assert result["status"] == "interrupted" and result["steps"] < 20000
    assert sweeper(*overrides) == 0 and sweeper.started == []


@pytest.mark.slow
def test_every_step_is_judged_however_seldom_one_looks(sweeper, tmp_path, monkeypatch):
    """Pruning judges every validation, also those between two looks: the other job was solved at step 40."""
    monkeypatch.setattr("lightning_dl2.sweeps.search.Job", Untrained)
    own = ("sweep=random", "sweep.trials=3", "sweep.pruner=median", "sweep.startup_trials=1")
    found = search(sweeper, *own)
    found.open(tmp_path, Objective("val/loss", "min"), dry=False)
    solved, worse, better = iter(found.next, None)
    solved.logged = {20: 1.0, 40: 0.5}
    assert not found.watch(solved)
    found.study.tell(found._trials[solved], 0.5)
    worse.logged = {20: 2.0, 40: 1.9, 60: 0.1, 80: 0.1}
    better.logged = {20: 0.9, 40: 0.4, 60: 3.0, 80: 3.0}
    assert found.watch(worse) and worse.pruned
    assert not found.watch(better) and not better.pruned
    values = [trial.intermediate_values for trial in found.study.get_trials()]
    assert values == [solved.logged, worse.logged, better.logged]


@pytest.mark.slow
def test_who_is_pruned_but_has_finished_has_not_crashed(sweeper, tmp_path, monkeypatch):
    """A job signalled while it writes its result counts as completed."""
    monkeypatch.setattr("lightning_dl2.sweeps.search.Job", Untrained)
    found = search(sweeper, "sweep=random", "sweep.trials=2", "sweep.pruner=median", "sweep.startup_trials=1")
    found.open(tmp_path, Objective("val/loss", "min"), dry=False)
    for job, finished in zip(iter(found.next, None), (True, False), strict=True):
        job.finished, job.metric = finished, lambda _: 1.0
        job.logged, job.code, job.pruned = {20: 1.0}, -signal.SIGTERM, True
        found.ended(job)
        assert (job.pruned, job.code) == ((False, 0) if finished else (True, -signal.SIGTERM))
    assert [trial.state for trial in found.study.get_trials()] == [TrialState.COMPLETE, TrialState.PRUNED]


@pytest.mark.slow
def test_a_failed_trial_is_drawn_again_on_request(sweeper, capsys):
    overrides = ("sweep=random", "optimizer.learning_rate=1e38,2e38", "optimizer.name=SGD", "trainer.max_steps=6")
    overrides += ("trainer.gradient_clip_val=null", "sweep.trials=1")
    assert sweeper(*overrides) == 1
    assert sweeper(*overrides) == 1 and sweeper.started == []
    assert sweeper(*overrides, "sweep.retry_failed=true") == 1 and len(sweeper.started) == 1
    first, second = study_of(sweeper).get_trials()
    assert first.params == second.params and second.state == TrialState.FAIL and len(sweeper.runs()) == 1
    capsys.readouterr()
    assert sweeper(*overrides, "dry=true") == 0
    out, _ = capsys.readouterr()
    assert out.count("│ failed") == 2
    shutil.rmtree(sweeper.runs()[0])  # lost runs train again without a request, as in a grid
    assert sweeper(*overrides) == 1 and sweeper.started


@pytest.mark.parametrize("content", ["{}\n", "x\n{}\n", '{"op_code": 99}\n', "[]\n\0\n"])
@pytest.mark.parametrize("dry", [False, True])
def test_a_damaged_journal_is_told(sweeper, tmp_path, content, dry):
    file = tmp_path / "optuna.log"
    file.write_text(content, "utf-8")
    with pytest.raises(UserError, match=r"optuna\.log: is damaged: .*; fix: ") as error:
        search(sweeper, "sweep=random").open(tmp_path, Objective("val/loss", "min"), dry=dry)
    assert len(str(error.value).splitlines()) == 1
    assert file.read_text("utf-8") == content


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda file: file.symlink_to(file.with_name("victim"))])
@pytest.mark.parametrize("dry", [False, True])
def test_a_journal_that_is_no_file_of_ours_is_refused(sweeper, tmp_path, make, dry):
    make(tmp_path / "optuna.log")
    with pytest.raises(UserError, match=r"optuna\.log: is .*, where a run writes a file of its own; fix: "):
        search(sweeper, "sweep=random").open(tmp_path, Objective("val/loss", "min"), dry=dry)
    assert not (tmp_path / "victim").exists()


def test_a_dry_look_at_a_search_writes_nothing(sweeper, tmp_path):
    search(sweeper, "sweep=random").open(tmp_path, Objective("val/loss", "min"), dry=False)
    before = (tmp_path / "optuna.log").read_bytes()
    search(sweeper, "sweep=random").open(tmp_path, Objective("val/loss", "min"), dry=True)
    assert (tmp_path / "optuna.log").read_bytes() == before


def test_a_full_disk_names_the_journal(sweeper, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    found = search(sweeper, "sweep=random")
    found.open(tmp_path, Objective("val/loss", "min"), dry=False)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match=r"optuna\.log cannot be written: No space left"):
        found.next()


@pytest.mark.slow
def test_trials_that_cannot_be_are_passed_over(sweeper, tmp_path):
    """Impossible combinations are skipped: each bound is valid, but not all bounds together."""
    overrides = read_overrides(
        sweeper.overrides("experiment=graph", "data=sbm", "task.num_layers=2,3", "data.fanouts=null,[3,3]")
    )
    overrides = type(overrides)((), tuple(part for part in overrides.parts if str(part).partition("=")[0] in KEYS))
    unused: dict = dict.fromkeys(("name", "monitor", "mode"))
    rules = schema.Search(method="random", **unused, retry_failed=False, trials=12, seed=0, startup_trials=5,
                          pruner="none")  # fmt: skip
    found = Search(overrides, [], rules)
    found.open(tmp_path, Objective("val/accuracy", "max"), dry=False)
    drawn = [job.varies for job in iter(found.next, None)]
    states = [trial.state for trial in found.study.get_trials(deepcopy=False)]
    assert {"task.num_layers": "3", "data.fanouts": "[3,3]"} not in drawn
    assert states.count(TrialState.FAIL) == 12 - len(drawn) > 0


KEYS = ("experiment", "data", "task.num_layers", "data.fanouts", "root")


def test_without_optuna_one_line_says_what_to_install(sweeper, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    assert sweeper("sweep=tpe", "seed=0,1") == 2
    assert "sweep=tpe: needs Optuna; fix: pip install optuna" in capsys.readouterr().err


@pytest.mark.slow
def test_jobs_csv_has_what_was_drawn(sweeper, capsys):
    """jobs.csv has the drawn values, and the search learns from a job without an earlier validation."""
    assert sweeper("sweep=random", "sweep.trials=1", "trainer.max_steps=4", *SPACE) == 0
    out, _ = capsys.readouterr()
    with open(out.splitlines()[-1] + "/jobs.csv", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    config = Run(row["run"]).config()
    assert float(row["optimizer.learning_rate"]) == config.optimizer.learning_rate
    assert (int(row["task.hidden_size"]), row["task.cell"]) == (config.task.hidden_size, config.task.cell)
    (trial,) = study_of(sweeper).get_trials()
    assert (trial.state, trial.value) == (TrialState.COMPLETE, float(row["val/loss"]))


@pytest.mark.slow
def test_a_run_that_is_lost_is_trained_again(sweeper):
    overrides = ("sweep=random", "sweep.trials=1", "trainer.max_steps=4", *SPACE)
    assert sweeper(*overrides) == 0
    (lost,) = sweeper.runs()
    shutil.rmtree(lost)
    assert sweeper(*overrides) == 0
    assert sweeper.runs() == [lost] and len(sweeper.started) == 1 and len(study_of(sweeper).get_trials()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "longest"), [((), 3000), (("trainer.max_steps=-1", "trainer.max_epochs=5"), "auto")]
)
def test_hyperband_knows_how_long_a_job_is(sweeper, overrides, longest):
    found = search(sweeper, "sweep=random", "sweep.trials=3", "sweep.pruner=hyperband")
    found.examples = [compose(*overrides)]
    pruner = found._pruner()
    assert isinstance(pruner, HyperbandPruner)
    assert (pruner._min_resource, pruner._max_resource) == (compose().trainer.val_check_interval, longest)
    found.examples = [compose(*overrides, "trainer.accumulate_grad_batches=4")]
    assert found._pruner()._min_resource == compose().trainer.val_check_interval // 4
