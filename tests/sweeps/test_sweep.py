"""Test that the same command lists jobs, trains missing ones, and does nothing when all are done."""

import csv
import json
import os
import re
import signal
import threading
import time
from types import SimpleNamespace

import pytest
import yaml

from lightning_dl2.builtin.cells import CELLS
from lightning_dl2.config.conf_files import options, package_conf
from lightning_dl2.run import lock
from lightning_dl2.run.directory import Run
from lightning_dl2.sweeps import progress_report, scheduler
from lightning_dl2.sweeps.jobs import Job, Objective
from lightning_dl2.sweeps.launchers.base import environment
from lightning_dl2.sweeps.overrides import read_overrides
from lightning_dl2.train import main
from tests.sweeps import sweeping
from tests.sweeps.sweeping import LONG

GRID = ("seed=0,1", "task.cell=lstm,gru")
TWO_LAYERS = ("2 task.dropout=0.0", "2 task.dropout=0.3")
ORDER = ["seed=0 task.cell=lstm", "seed=0 task.cell=gru", "seed=1 task.cell=lstm", "seed=1 task.cell=gru"]


def later(condition, action, *arguments) -> threading.Thread:
    """Call `action` from another thread as soon as `condition` holds."""

    def wait() -> None:
        while not condition():
            time.sleep(0.02)
        action(*arguments)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
def test_a_file_has_the_overrides_of_a_sweep(sweeper, tmp_path, capsys, monkeypatch):
    (tmp_path / "mine" / "sweep").mkdir(parents=True)
    file = tmp_path / "mine" / "sweep" / "night.yaml"
    file.write_text("defaults: [grid]\nmax_time: '00:10:00:00'\noverrides: [seed=0, 'task.cell=lstm,gru']\n")
    monkeypatch.setenv("LIGHTNING_DL2_CONF", str(tmp_path / "mine"))
    limit = ("trainer.max_steps=4", "trainer.val_check_interval=2")
    assert sweeper("sweep=night", "dry=true", *limit) == 0
    out = capsys.readouterr().out
    assert "time: unknown until a job has ended; 2 jobs, at most 4 steps each" in out
    assert "stops after 00:10:00:00" in out and out.splitlines()[-1].rpartition("/")[2].startswith("night-")
    assert sweeper("sweep=night", "task.cell=lstm", *limit) == 0
    assert sweeper.started == ["task.cell=lstm"] or sweeper.started == ["the only job"]
    first = capsys.readouterr().out.splitlines()[-1]
    assert sweeper("sweep=night", "task.cell=lstm", "dry=true", "sweep.max_time=null", *limit) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == first and "time:" not in out and "stops after" not in out  # the same, and complete
    (row,) = csv.DictReader((sweeper.root / "sweeps" / first.rpartition("/")[2] / "jobs.csv").open())
    assert float(row["elapsed"]) > float(row["seconds"]) > 0


def test_the_sweep_of_tasks_and_cells_names_what_there_is():
    overrides = yaml.safe_load((package_conf() / "sweep" / "memory.yaml").read_text("utf-8"))["overrides"]
    swept = {key.name: set(key.values) for key in read_overrides(overrides).swept}
    assert swept["experiment"] <= set(options("experiment")) and swept["task.cell"] <= CELLS.keys()
    assert {name for name in options("experiment") if name.startswith("chomsky/")} < swept["experiment"]


@pytest.mark.slow
def test_grid_runs_once_in_the_order_typed(sweeper, capsys):
    assert sweeper(*GRID, "launcher.jobs=2") == 0
    out, err = capsys.readouterr()
    assert sweeper.started == ORDER
    assert len(sweeper.runs()) == 4
    directory = sweeper.root / "sweeps" / out.splitlines()[-1].rpartition("/")[2]
    assert out.splitlines()[-1] == str(directory)
    assert "mean ± standard deviation over seeds" in out and out.count("completed") == 4
    assert "job 2 (seed=0 task.cell=gru): started" in err and "best" in err
    rows = list(csv.DictReader((directory / "jobs.csv").open()))
    assert [row["job"] for row in rows] == ["1", "2", "3", "4"]
    for row in rows:
        result = json.loads((Run(row["run"]).result_file).read_text())
        assert (row["state"], result["seed"]) == ("completed", int(row["seed"]))
        assert float(row["val/loss"]) == result["metrics"]["val/loss"]
        assert float(row["test/loss"]) == result["metrics"]["test/loss"]
        assert Run(row["run"]).config().logger.group == directory.name
    values = [float(row["val/loss"]) for row in rows]
    table = [line for line in out.splitlines() if "completed" in line]
    assert [int(line.split("│")[1]) - 1 for line in table] == sorted(range(4), key=values.__getitem__)
    assert {path.name for path in directory.iterdir()} == {".lock", "figures", "jobs.csv", "logs", "sweep.yaml"}
    assert (directory / "figures/sweep.png").stat().st_size > 0
    assert yaml.safe_load((directory / "sweep.yaml").read_text())["metric"] == "val/loss"

    before = {path: path.stat().st_mtime_ns for path in sweeper.root.rglob("seed=*/**/*")}
    assert sweeper(*GRID) == 0
    assert sweeper.started == []
    assert {path: path.stat().st_mtime_ns for path in sweeper.root.rglob("seed=*/**/*")} == before
    assert len(list((sweeper.root / "sweeps").iterdir())) == 1


@pytest.mark.slow
def test_dry_writes_nothing(sweeper, capsys):
    assert sweeper(*GRID, "dry=true") == 0
    out, _ = capsys.readouterr()
    assert out.count("missing") == 4 and not sweeper.root.exists() and sweeper.launcher is None
    assert main([*sweeper.overrides("seed=1", "task.cell=gru")]) == 0
    capsys.readouterr()
    assert sweeper(*GRID, "dry=true") == 0
    out, _ = capsys.readouterr()
    assert out.count("missing") == 3 and out.count("completed") == 1 and not (sweeper.root / "sweeps").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sweep.yaml", "logs", "logs/1.log", "jobs.csv"])
def test_what_has_the_place_of_the_sweeps_files_is_told_in_a_line(sweeper, capsys, name):
    assert main([*sweeper.overrides("seed=0", "trainer.max_steps=4")]) == 0
    blocked = sweeper.root / "sweeps" / "mine" / name
    blocked.parent.mkdir(parents=True)
    os.mkfifo(blocked) if name != "jobs.csv" else blocked.mkdir()
    capsys.readouterr()
    assert sweeper("sweep.name=mine", "seed=0", "trainer.max_steps=4") == (1 if name == "jobs.csv" else 2)
    *_, said = capsys.readouterr().err.splitlines()
    assert said.startswith(f"error: {blocked}")


@pytest.mark.slow
def test_what_another_command_has_trained_is_not_trained_again(sweeper, capsys):
    """A job trained by another command is not repeated, but counts for the best so far."""
    assert main(sweeper.overrides("optimizer.learning_rate=1e-2")) == 0
    assert sweeper("optimizer.learning_rate=1e-9,1e-2") == 0
    assert sweeper.started == ["optimizer.learning_rate=1e-09"]
    _, err = capsys.readouterr()
    one, best = (float(row["val/loss"]) for row in csv_rows(sweeper))
    assert best < one
    assert f"best {best:.4g} by job 2" in err


@pytest.mark.slow
def test_two_names_of_one_run_are_one_job(sweeper):
    assert sweeper("seed=0", "task.forget_bias=1.0,1", "trainer.max_steps=4") == 0
    assert sweeper.started == ["task.forget_bias=1.0"]
    assert [row["task.forget_bias"] for row in csv_rows(sweeper)] == ["1.0"]


@pytest.mark.slow
def test_a_key_without_effect_in_some_jobs_is_left_out_there(sweeper, capsys):
    """A key without effect in some jobs is left out there, so no run trains twice and no job is refused."""
    overrides = ("task.num_layers=1,2", "task.dropout=0.0,0.3", "trainer.max_steps=4")
    assert sweeper(*overrides) == 0
    assert sweeper.started == [f"task.num_layers={given}" for given in ("1 task.dropout=0.0", *TWO_LAYERS)]
    assert "note: task.dropout: has no effect in 1 of 4 combinations; these are trained without it" in (
        capsys.readouterr().err
    )
    assert sweeper("task.num_layers=1,2", "task.dropout=0.2,0.3", "trainer.max_steps=4") == 0
    assert sweeper.started == ["task.num_layers=2 task.dropout=0.2"]
    rows = jobs(capsys.readouterr().out)
    assert [(row["task.num_layers"], row["task.dropout"]) for row in rows] == [("1", "-"), ("2", "0.2"), ("2", "0.3")]
    assert sweeper(*overrides) == 0 and sweeper.started == []


@pytest.mark.slow
def test_experiments_are_compared_by_what_all_log(tmp_path, capsys):
    overrides = ["-m", "experiment=text,palindrome", f"root={tmp_path}", "dry=true"]
    assert main(overrides) == 0
    out, _ = capsys.readouterr()
    assert "│ 1   │ text       │" in out and "│ 2   │ palindrome │" in out and "val/loss" in out
    assert "grid-experiment-" in out.splitlines()[-1]


@pytest.mark.parametrize("content", ["", "a: [", "3", "words: []", f"words: {'9' * 5000}", "[" * 5000])
def test_a_damaged_sweep_is_told(sweeper, capsys, content):
    file = sweeper.root / "sweeps" / "mine" / "sweep.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    assert sweeper("sweep.name=mine", "seed=0", "trainer.max_steps=4") == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {file}: is damaged: ")
    assert file.read_text() == content


@pytest.mark.parametrize(
    "overrides, says",
    [
        (["task.cell=gru,lst"], 'task.cell="lst": did you mean lstm'),
        (["task.cell=gru,lst", "seed=1,2"], "(job 3: task.cell=lst seed=1)"),
        (["task.dropout=interval(0,1)"], "task.dropout=interval(..): has no grid; fix: use sweep=random"),
        (["task.dropout=0.0,0.5", "task.num_layers=1"], "task.num_layers=1 (it acts between layers); fix: "),
        (["task.dropout=0.0,0.5", "task.num_layers=1"], "(job 2: task.dropout=0.5; and so in every other)"),
        (
            ["task.cell=lstm,rnn", "task.peephole=assignment"],
            "task.peephole=assignment: has no effect with task.cell=lstm",
        ),
        (["sweep=tpe", "task.dropout=interval(0.1,0.5)", "task.num_layers=1"], "task.dropout=0.1: has no effect"),
        (["sweep.name=a/b", "seed=0,1"], 'sweep.name="a/b": allowed: letters, digits, _, - and ., the first'),
        (["sweep.name=..", "seed=0,1"], 'sweep.name="..": allowed: letters'),
        (["optimizer.name=SGD,Nonsense"], "optimizer.name=Nonsense: is no optimiser of torch.optim; allowed: "),
        (["trainer.devices=1,1000"], "trainer.devices=1000: this machine has"),
        (["sweep=gird"], "sweep=gird: did you mean grid?"),
        (["sweep.trials=3"], "sweep.trials=3: there is no key sweep.trials; allowed: max_time, method, mode"),
        (["sweep=tpe", "seed=0,1", "sweep.trial=3"], "there is no key sweep.trial; did you mean trials"),
        (["sweep=tpe", "seed=0,1", "sweep.trials=0"], "sweep.trials=0: allowed: greater than or equal to 1"),
        (["sweep=tpe", "seed=0,1", "sweep.pruner=x"], 'sweep.pruner="x": allowed'),
        (["sweep=tpe"], "sweep=tpe: no key varies"),
        (
            ["sweep=tpe", "seed=0,1", "sweep.pruner=hyperband", "trainer.val_check_interval=24"],
            "sweep.pruner=hyperband: the first validation comes at step 24, and trainer.max_steps=24; fix: ",
        ),
        (["sweep=tpe", "task.hidden_size=interval(4,8)"], "task.hidden_size=4.0: allowed: an integer (job 1"),
        (["sweep=tpe", "task.hidden_size=int(interval(-4,8))"], "task.hidden_size=-4"),
        (["sweep.name=a/b"], 'sweep.name="a/b"'),
        ([f"sweep.name={'a' * 256}", "dry=true"], "a: is too long; allowed in sweep.name and root: at most 255 bytes"),
        (["seed=range(400)", "task.hidden_size=range(1,300)"], "119,600 combinations; allowed: at most 100,000 jobs"),
        (["sweep.monitor=val/mean_absolute_error"], "sweep.monitor=val/mean_absolute_error: data=decimal_palindrome"),
        (["sweep.mode=max"], "sweep.mode=max: allowed with val/loss: min"),
        (["callbacks.checkpoint.monitor=null"], "sweep.monitor=null: callbacks.checkpoint.monitor is null, too; fix"),
        (["launcher=slurm"], "launcher=slurm: allowed: local, ray, submitit"),
        (["launcher.jobs=0"], "launcher.jobs=0: allowed: greater than or equal to 1"),
        (["launcher=submitit", "launcher.minutes=1"], "launcher.signal_seconds=120: allowed: less than minutes=1"),
        (["dry=1"], "dry=1: allowed: "),
        (["resume=restart"], "resume=restart: allowed in a sweep: auto"),
    ],
)
def test_wrong_overrides_start_nothing(sweeper, capsys, overrides, says):
    assert sweeper(*overrides) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and says in err and err.count("\n") == 1, err
    assert not sweeper.root.exists() and sweeper.launcher is None


@pytest.mark.parametrize("overrides", [["sweep=tpe"], ["launcher.jobs=2"], ["dry=true"]])
def test_keys_of_sweeps_need_m(overrides, capsys):
    assert main(overrides) == 2
    assert f"{overrides[0]}: is a key of sweeps; fix: add -m" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["WORLD_SIZE", "SLURM_STEP_NUM_TASKS"])
def test_a_rank_is_refused(sweeper, monkeypatch, capsys, key):
    monkeypatch.setenv(key, "2")
    assert sweeper("seed=0,1") == 2
    assert f"-m: {key}=2: a sweep is one process" in capsys.readouterr().err and not sweeper.root.exists()


@pytest.mark.slow
def test_a_name_holds_one_sweep(sweeper, capsys):
    assert sweeper("sweep.name=mine", "seed=0", "trainer.max_steps=4") == 0
    assert sweeper("sweep.name=mine", "seed=1", "trainer.max_steps=4") == 2
    assert "sweep.name=mine" in capsys.readouterr().err and len(sweeper.runs()) == 1


def test_a_second_sweep_is_told_who_is_at_it(sweeper, capsys):
    assert sweeper("sweep.name=mine", "seed=0", "dry=true") == 0
    with lock.locked(sweeper.root / "sweeps" / "mine"):
        assert sweeper("sweep.name=mine", "seed=0") == 2
    err = capsys.readouterr().err
    assert f"is held by process {os.getpid()}" in err and err.count("\n") == 1 and sweeper.runs() == []


@pytest.mark.slow
def test_failures_stop_nobody_and_are_tried_again_on_request(sweeper, capsys, monkeypatch):
    """Failed jobs report why and can be retried: code 1 diverged, code 2 was refused for a word."""
    forked, wrong = sweeping.Forked, "task.hidden_size=9"
    monkeypatch.setattr(
        sweeping, "Forked", lambda overrides, log: forked([*overrides, *["seed"] * (wrong in overrides)], log)
    )
    overrides = ("task.hidden_size=8,9", "optimizer.learning_rate=1e38,0.1", "optimizer.name=SGD")
    overrides += ("trainer.gradient_clip_val=null", "trainer.max_steps=6", "launcher.jobs=2")
    assert sweeper(*overrides) == 1
    out, err = capsys.readouterr()
    refused = {(rate, "9"): "failed" for rate in ("0.1", "1e+38")}
    states = {(row["optimizer.learning_rate"], row["task.hidden_size"]): row["state"] for row in jobs(out)}
    assert len(sweeper.started) == 4
    assert states == {("0.1", "8"): "completed", ("1e+38", "8"): "failed"} | refused
    assert err.count("exit code 2: error: seed: is not of") == 2 and err.count("exit code 1: error: ") == 1
    assert len(sweeper.runs()) == 2

    assert sweeper(*overrides) == 1  # a refused job left nothing, and is tried again
    assert sweeper.started == [f"task.hidden_size=9 optimizer.learning_rate={rate}" for rate in ("1e+38", "0.1")]
    assert "1 failed before and will not be tried again" in capsys.readouterr().err
    assert sweeper(*overrides, "sweep.retry_failed=true") == 1
    assert len(sweeper.started) == 3


def csv_rows(sweeper) -> list[dict[str, str]]:
    (file,) = sweeper.root.glob("sweeps/*/jobs.csv")
    return list(csv.DictReader(file.open()))


def jobs(out: str) -> list[dict[str, str]]:
    with open(out.splitlines()[-1] + "/jobs.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def resumed_within(run: Run, stopped_at: int) -> bool:
    """Return whether a run began at step 0 and resumed once; it may repeat a validation."""
    first, second = map(int, re.findall(r"from step (\d+)", run.log_file.read_text("utf-8")))
    return first == 0 < second <= stopped_at


@pytest.mark.slow
def test_a_signal_is_passed_on_and_the_same_command_goes_on(sweeper, capsys):
    later(lambda: len(list(sweeper.root.rglob("last.ckpt"))) == 2, os.kill, os.getpid(), signal.SIGTERM)
    assert sweeper("seed=0,1,2", *LONG, "launcher.jobs=2") == 143
    out, err = capsys.readouterr()
    assert [row["state"] for row in jobs(out)] == ["interrupted", "interrupted", "missing"]
    assert sweeper.started == ["seed=0", "seed=1"]
    steps = [Run(path).result()["steps"] for path in sweeper.runs()]
    assert f"stopped by SIGTERM at step {steps[0]}" in err

    end = max(steps) + 3
    assert sweeper("seed=0,1,2", f"trainer.max_steps={end}", *LONG[1:], "launcher.jobs=3") == 0
    assert [Run(path).result()["steps"] for path in sweeper.runs()] == [end] * 3
    assert resumed_within(Run(sweeper.runs()[0]), steps[0])


@pytest.mark.slow
def test_a_sweep_within_a_job_of_slurm_is_requeued_as_a_whole(sweeper, monkeypatch):
    """The sweep requeues its SLURM job as a whole; its jobs do not know of SLURM."""
    asked = []
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setattr("lightning_dl2.distributed.slurm.requeue", lambda: asked.append("requeue"))
    later(lambda: list(sweeper.root.rglob("last.ckpt")), os.kill, os.getpid(), signal.SIGUSR1)
    assert sweeper("seed=0", *LONG) == 75
    assert asked == ["requeue"]
    assert "SLURM_JOB_ID" not in environment()


@pytest.mark.slow
def test_what_stops_by_itself_is_to_be_gone_on_with(sweeper, capsys):
    assert sweeper("seed=0", *LONG, "trainer.max_time='00:00:00:00'") == 75
    assert [row["state"] for row in jobs(capsys.readouterr().out)] == ["interrupted"]


class Standing:
    """A job with a chosen state."""

    code, description, finished = 0, "seed=0", False
    varies = {"seed": "0"}

    def __init__(self, number: int) -> None:
        self.number, self.state, self.read, self.run = number, "missing", 0, SimpleNamespace(path="run")

    def metric(self, name: str) -> float | None:
        self.read += 1
        return None

    def seconds(self) -> float | None:
        return None


def test_of_a_job_that_runs_the_line_is_as_it_stands_and_others_are_not_read(tmp_path, capsys):
    """The line of a running job shows its present state, not that before its process started."""
    first, second, third = jobs = [Standing(number) for number in range(3)]
    report = progress_report.ProgressReport(SimpleNamespace(jobs=jobs, total=3), LOSS, tmp_path)

    def states() -> list[str]:
        return [row["state"] for row in csv.DictReader((tmp_path / "jobs.csv").read_text().splitlines())]

    with report:
        report.tell(first, "started")
        report.tell(second, "started")
        first.state, second.state = "held", "failed"
        reads = third.read
        report.tell(second, "ended")
        assert states() == ["held", "failed", "missing"] and third.read == reads
        report.tell(second, "started")  # as with sweep.retry_failed
        first.state = second.state = "completed"
        report.tell(second, "ended")
        assert "completed after 0 s, without a finite val/loss" in capsys.readouterr().err
        report.tell(second, "started")
        report.tell(second, "waits: its directory is held by process 1")
        assert states() == ["completed", "completed", "missing"]
        third.state = "completed"  # by another command
    assert states() == ["completed"] * 3


LOSS = Objective("val/loss", "min")


class Valued:
    """A job that has reached a value of the metric."""

    def __init__(self, value: float | None, state: str = "completed", path: str = "", **varies: str) -> None:
        self.value, self.varies, self.state = value, varies, state
        self.run = SimpleNamespace(path=path or id(self))

    def metric(self, name: str) -> float | None:
        return self.value if name.startswith("val/") else None


@pytest.mark.parametrize(("mode", "order"), [("max", [0.9, 0.2, None]), ("min", [0.2, 0.9, None])])
def test_the_best_is_the_highest_or_the_lowest(mode, order):
    found = progress_report.best_first([Valued(value) for value in (0.2, None, 0.9)], Objective("val/f1", mode))
    assert [job.value for job in found] == order


@pytest.mark.parametrize(("mode", "first"), [("max", "gru"), ("min", "lstm")])
def test_of_the_means_the_best_stands_first(mode, first, capsys):
    values = {"lstm": (0.2, 0.3), "gru": (0.8, 0.9)}
    table = progress_report.ProgressReport.__new__(progress_report.ProgressReport)
    table.objective = Objective("val/loss", mode)
    table.metric, table.test_metric = "val/loss", "test/loss"
    table._header = lambda: ["number", "seed", "cell", *"12345"]
    each = [Valued(value, seed=str(seed), cell=cell) for cell, own in values.items() for seed, value in enumerate(own)]
    table.plan = SimpleNamespace(jobs=each)
    table.print_seeds()
    cells = [word for word in capsys.readouterr().out.split() if word in values]
    assert cells[0] == first and len(cells) == 2


@pytest.mark.parametrize("value", ["NaN", "Infinity", "null"])
def test_a_metric_that_is_no_number_is_none(tmp_path, value):
    """NaN, as in results of older versions, counts as no value, because it cannot be sorted."""
    job = Job(1, {}, [f"root={tmp_path}"])
    job.run.path.mkdir(parents=True)
    job.run.result_file.write_text(f'{{"status": "completed", "metrics": {{"val/loss": {value}}}}}')
    assert job.metric("val/loss") is None and job.state == "missing"


def test_a_mean_is_of_completed_runs_each_counted_once(capsys):
    table = progress_report.ProgressReport.__new__(progress_report.ProgressReport)
    table.objective, table.metric, table.test_metric = LOSS, "val/loss", "test/loss"
    table._header = lambda: ["number", "seed", "cell", *"12345"]
    jobs = [Valued(2.0, path="a", seed="0", cell="gru"), Valued(2.0, path="a", seed="0", cell="gru")]
    jobs += [Valued(5.0, state, seed="1", cell="gru") for state in ("failed", "interrupted", "held", "pruned")]
    table.plan = SimpleNamespace(jobs=[*jobs, Valued(3.0, seed="1", cell="gru"), Valued(None, seed="2", cell="gru")])
    table.print_seeds()
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "gru" in line]
    assert [cell.strip() for cell in row.split("│")[2:4]] == ["2", "2.50 ± 0.71"], row


@pytest.mark.slow
def test_a_second_sigint_ends_at_once(sweeper, monkeypatch):
    """A second SIGINT ends the sweep at once, even if a job ignores signals."""
    monkeypatch.setattr(scheduler, "GRACE", 0.5)

    def deaf(job, handle):
        handle.stop = lambda number: None
        return handle

    sweeper.wrap = deaf

    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGINT)

    later(lambda: list(sweeper.root.rglob("last.ckpt")), twice)
    assert sweeper("seed=0,1", *LONG) == 130
    assert sweeper.launcher.started[0].code == -signal.SIGKILL


@pytest.mark.slow
def test_a_job_that_is_held_is_waited_for(sweeper, capsys):
    """A job held by a killed sweep's process is waited for, while other jobs go on."""
    overrides = sweeper.overrides("seed=0", "trainer.max_steps=100000", *LONG[1:])
    sweeper.root.mkdir()
    other = sweeping.Forked(overrides, sweeper.root / "log")
    while not sweeper.runs():
        assert other.poll() is None
        time.sleep(0.1)

    tried = []
    sweeper.wrap = lambda job, handle: tried.append(job.description) or handle
    later(lambda: len(tried) == 2, other.stop, signal.SIGTERM)
    assert sweeper("seed=0,1", "trainer.max_steps=5", *LONG[1:]) == 0
    other.process.join(60)
    assert other.poll() == 143
    assert tried == ["seed=0", "seed=1", "seed=0"]
    assert f"job 1 (seed=0): waits: its directory is held by process {other.process.pid}" in capsys.readouterr().err
    assert len(sweeper.runs()) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (
            ("data.path=nowhere.txt,elsewhere.txt",),
            "data.path=nowhere.txt: there is no such file; allowed: a text file",
        ),
        (("seed=1,2",), "data.path=null: data.name=text cannot be downloaded; fix: set data.path to a text file"),
    ],
)
def test_data_that_are_not_there_are_told_before_a_plan(tmp_path, monkeypatch, capsys, overrides, says):
    monkeypatch.chdir(tmp_path)
    for dry in ("true", "false"):
        assert main(["-m", "experiment=text", "data=text", *overrides, f"dry={dry}", f"root={tmp_path}/runs"]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith(f"error: {says}") and err.count("\n") == 1
    assert not (tmp_path / "runs").exists()
