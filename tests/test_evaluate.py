"""Test that `evaluate` needs the run directory alone, and repeats the training's metrics to the last bit."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
import torch

from lightning_dl2 import compose, evaluate, train
from lightning_dl2.common.errors import UserError
from lightning_dl2.evaluate import main
from lightning_dl2.resume.checkpoint_file import sidecar
from lightning_dl2.run.directory import Run
from lightning_dl2.tasks import SequenceClassifier
from tests.comparison import leaves
from tests.conftest import TINY, TINY_GRAPH, TINY_GRAPHS
from tests.processes import ForkedProcess, redirect


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Run:
    """Return a run whose best and last checkpoints differ."""
    rule = ("callbacks.checkpoint.monitor=val/accuracy", "callbacks.checkpoint.mode=max")
    root = tmp_path_factory.mktemp("trained")
    _, objects = train(compose(*TINY, *rule, f"root={root}", "optimizer.learning_rate=0.03"))
    return objects["run"]


@pytest.fixture
def run(trained, tmp_path, monkeypatch) -> Run:
    """Return a copy of the run in another directory, with another working directory."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return Run(shutil.copytree(trained.path, tmp_path / "moved [1]" / "run"))


def figures(run: Run) -> dict[str, float]:
    return {key: value for key, value in run.result()["metrics"].items() if key.startswith("test/")}


@pytest.mark.slow
def test_repeats_the_figure(run):
    assert evaluate(str(run.path)) == figures(run)
    assert evaluate(run, str(run.best)) == figures(run)
    assert not [*run.path.parent.parent.glob("cwd/*")]


@pytest.mark.slow
def test_a_run_of_an_older_version_repeats_its_figure(run, capsys):
    text = run.config_file.read_text()
    run.config_file.write_text("".join(line for line in text.splitlines(True) if "num_workers" not in line))
    assert run.config_file.read_text() != text
    assert evaluate(run) == figures(run)
    told = capsys.readouterr().err
    assert told == f"note: {run.config_file} is of an older version; added: data.num_workers=0\n"
    run.config()
    assert not capsys.readouterr().err


@pytest.mark.slow
def test_a_run_on_graphs_repeats_its_figure(tmp_path, monkeypatch):
    """Runs on sampled nodes, evaluated in chunks, and on graphs with batch norm repeat all metrics elsewhere."""
    (tmp_path / "cwd").mkdir()
    for words in (
        (*TINY_GRAPH, "data.fanouts=[3,3]", "data.batch_size=4", "data.evaluation_chunk=40", "task.layer=sage"),
        (*TINY_GRAPHS, "task.layer=gatedgcn", "data.positional={kind:laplacian,size:3}"),
    ):
        _, objects = train(compose(*words, f"root={tmp_path}/runs", "trainer.max_steps=10"))
        expected = figures(objects["run"])
        assert len(expected) == 6
        monkeypatch.chdir(tmp_path / "cwd")
        assert evaluate(str(objects["run"].path)) == expected
        monkeypatch.undo()


@pytest.mark.slow
def test_last_is_another_checkpoint(run):
    assert evaluate(run, "last") == evaluate(run, str(run.last)) != figures(run)


def test_changes_nothing_in_the_run(run):
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    evaluate(run)
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_command(run, capsys):
    assert main([f"run={run.path}"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == str(run.path) and f"{run.path} (best)" in out and err == ""
    assert f"{figures(run)['test/loss']:,.4f}" in out


@pytest.mark.slow
def test_threads_are_those_of_the_training_and_then_as_before(run, tmp_path, monkeypatch):
    seen, test_start = [], SequenceClassifier.on_test_start
    monkeypatch.setattr(
        SequenceClassifier, "on_test_start", lambda self: (seen.append(torch.get_num_threads()), test_start(self))
    )
    torch.set_num_threads(2)
    try:
        evaluate(run)
        assert seen == [1] and torch.get_num_threads() == 2
        train(compose(*TINY, f"root={tmp_path}/again", "trainer.max_steps=5"))
        assert torch.get_num_threads() == 2  # the next run may not set the threads
    finally:
        torch.set_num_threads(1)


def test_run_of_a_larger_machine(run):
    """A run trained on eight GPUs with float16 is evaluated by one process on any machine."""
    text = run.config_file.read_text()
    for old, new in (("accelerator: cpu", "accelerator: gpu"), ("devices: 1", "devices: 8")):
        assert old in text
        text = text.replace(old, new)
    run.config_file.write_text(text)
    assert evaluate(run)["test/loss"] == pytest.approx(figures(run)["test/loss"], rel=1e-3)


def break_checkpoint(run):
    run.best.write_bytes(run.best.read_bytes()[:-1])


def remove_checkpoint(run):
    run.best.unlink()


def cut_unverified_checkpoint(run):
    sidecar(run.best).unlink()
    run.best.write_bytes(run.best.read_bytes()[:1000])


def empty_checkpoint(run):
    sidecar(run.best).unlink()
    torch.save({"state_dict": {}}, run.best)


def other_checkpoint(run):
    sidecar(run.best).unlink()
    torch.save({"state_dict": {"a": 1}}, run.best)


def bare_tensor(run):
    sidecar(run.best).unlink()
    torch.save(torch.zeros(3), run.best)


def break_config(run):
    run.config_file.write_text("a: [")


def unknown_key(run):
    run.config_file.write_text(run.config_file.read_text() + "depth: 3\n")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (break_checkpoint, "checkpoint=best: {run.best} is damaged"),
        (remove_checkpoint, "checkpoint=best: there is no file {run.best}"),
        (cut_unverified_checkpoint, "checkpoint=best: {run.best} is damaged"),
        (empty_checkpoint, "checkpoint=best: {run.best} is no sequence_classifier"),
        (other_checkpoint, "checkpoint=best: {run.best} is no sequence_classifier"),
        (bare_tensor, "checkpoint=best: {run.best} is no sequence_classifier"),
        (break_config, "{run.config_file}: is damaged: it is not YAML"),
        (unknown_key, "depth=3: there is no key depth"),
    ],
)
def test_damage_is_told(run, damage, says, capsys):
    damage(run)
    assert main([f"run={run.path}"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: " + says.format(run=run)) and err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "run=VALUE: is missing"),
        (["run=/nowhere"], "run=/nowhere: holds no run"),
        ([f"run={'x' * 300}"], f"run={'x' * 300}: holds no run"),
        (["rum=/nowhere"], "rum=/nowhere: there is no key rum; did you mean run?"),
    ],
)
def test_wrong_words(words, says, capsys):
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(f"error: {says}")


def test_a_long_name_of_a_checkpoint_is_told(run):
    with pytest.raises(UserError, match="checkpoint=x*: there is no file x"):
        evaluate(run, "x" * 300)


def _stopped(path: Path, number: signal.Signals) -> None:
    redirect(path.parents[1] / "cwd")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores SIGINT
    SequenceClassifier.test_step = lambda *_: os.kill(os.getpid(), number)
    sys.exit(main([f"run={path}"]))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "says"), [(signal.SIGTERM, -15, ""), (signal.SIGINT, 130, "stopped\n")])
def test_whoever_stops_it_sees_that_it_was_stopped(run, number, code, says):
    """An interrupted `evaluate` exits with the signal's code, not with 0 and no table."""
    process = ForkedProcess(target=_stopped, args=(run.path, number))
    process.start()
    process.join(60)
    told = [Path(name).read_text(encoding="utf-8") for name in ("stdout", "stderr")]
    assert (process.exitcode, *told) == (code, "", says)


@pytest.mark.slow
def test_data_that_have_moved_are_found(tiny_text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = Path("text.txt")
    text.write_text("to be or not to be, that is the question. " * 100, encoding="utf-8")
    _, objects = train(tiny_text(f"data.path={text}", f"data.cache_dir={tmp_path}", "trainer.max_steps=10"))
    run = objects["run"]
    moved = text.rename(tmp_path / "moved.txt").absolute()
    monkeypatch.chdir("/")
    with pytest.raises(UserError, match="data.path=text.txt: there is no such file"):
        evaluate(run)
    assert evaluate(run, data_path=str(moved)) == figures(run)
    assert main([f"run={run.path}", f"data.path={moved}"]) == 0
    assert run.result()["test_split"] == "validation, which also chose the checkpoint"  # data.test_fraction=0
    assert run.result()["test_split"] in capsys.readouterr().out
    moved.write_text("to be or not to be, that was the question. " * 100)
    with pytest.raises(UserError, match="is not what it was"):
        evaluate(run, data_path=str(moved))


@pytest.mark.slow
def test_generated_data_have_no_path(run, tiny_graph):
    graph = train(tiny_graph("trainer.max_steps=2"))[1]["run"]
    for each, name in ((run, "decimal_palindrome"), (graph, graph.config().data.name)):
        with pytest.raises(UserError, match=f"data.path=x: the run's data={name} is generated"):
            evaluate(each, data_path="x")


def test_checkpoints_are_plain(trained):
    for path in (trained.best, trained.last):
        state = torch.load(path, weights_only=True)  # raises on anything that could run code
        plain = (bool, int, float, str, type(None))
        assert all(isinstance(value, plain) for _, value in leaves(state["hyper_parameters"]))


def test_best_is_the_first_with_the_best_value(trained):
    rows = [line.split(",") for line in trained.metrics_file.read_text().splitlines()]
    step, accuracy = rows[0].index("step"), rows[0].index("val/accuracy")
    values = {int(row[step]): float(row[accuracy]) for row in rows[1:] if row[accuracy]}
    result = trained.result()
    assert result["best_step"] == max(values, key=values.get)
    assert result["metrics"]["val/accuracy"] == max(values.values())


def test_no_run_in_the_library(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        evaluate(str(tmp_path))
