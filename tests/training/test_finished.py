"""Test that a complete run compares its data when started again, and reports what it ignores."""

import json
import os
import shutil

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_dl2 import UserError, evaluate, load, train
from lightning_dl2.common.run_files import read_metrics
from lightning_dl2.run.directory import Run
from lightning_dl2.tasks import SequenceClassifier, TextGenerator
from lightning_dl2.training.finished import attend_sweep
from lightning_dl2.training.outcome import run_and_report
from lightning_dl2.training.session import Session
from lightning_dl2.training.start import train_session
from tests.conftest import TINY, TINY_TEXT, composer


@pytest.fixture(scope="module")
def complete(tmp_path_factory, book):
    """Return a root with complete runs of a sequence task and of a text, which lies beside it."""
    root = tmp_path_factory.mktemp("complete")
    shutil.copy(book, root / "input.txt")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for words in (TINY, text_words(root)):
            train(composer(root, *words, "trainer.max_steps=4")())
    return root


def text_words(root):
    return (*TINY_TEXT, f"data.cache_dir={root}", "data.path=input.txt")


@pytest.fixture(autouse=True)
def there(complete, tmp_path, monkeypatch):
    """Change to a copy of that root, to be damaged."""
    shutil.copytree(complete, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def sequences(tmp_path):
    return composer(tmp_path, *TINY, "trainer.max_steps=4")


@pytest.fixture
def text(tmp_path, complete):
    return composer(tmp_path, *text_words(complete), "trainer.max_steps=4")


def damage_result(run, **changes):
    run.result_file.write_text(json.dumps(run.result() | changes))


@pytest.mark.slow
@pytest.mark.parametrize("version", ["today", "older"])
def test_other_data_are_refused(text, version, monkeypatch, capsys):
    config = text()
    run = Run.of(config)
    if version == "older":  # older versions keep the digest in the checkpoint only
        damage_result(run, data_digest=None)
    before = run.result_file.read_bytes()
    train(config)
    assert capsys.readouterr().err == ""
    with open("input.txt", "r+", encoding="utf-8") as file:  # the same size and characters
        content = file.read()
        file.seek(0), file.write(content[::-1])
    for call in (lambda: train(config), lambda: attend_sweep([config])):
        with pytest.raises(UserError, match="data: .* is not what it was when .* was begun; .*resume=restart") as told:
            call()
        assert "\n" not in str(told.value)
    assert run.result_file.read_bytes() == before
    os.unlink("input.txt")
    train(config)
    assert capsys.readouterr().err == (
        "note: data.path=input.txt: no longer exists; the result is of the data that the run was trained on\n"
    )


@pytest.mark.slow
def test_a_directory_of_texts_is_compared_too(text, tmp_path, capsys):
    folder = tmp_path / "texts"
    folder.mkdir()
    whole = (tmp_path / "input.txt").read_bytes()
    for number, part in enumerate((whole[:2000], whole[2000:])):
        (folder / f"{number}.txt").write_bytes(part)
    words = ("data.path=texts", "data.tokens=bytes", f"data.cache_dir={tmp_path}")
    config = text(*words)
    run, (result, _) = Run.of(config), train(config)
    train(config), attend_sweep([config])
    assert capsys.readouterr().err == ""
    tests = {key: value for key, value in result["metrics"].items() if key.startswith("test/")}
    (folder / "1.txt").rename(tmp_path / "b")
    assert evaluate(run, data_path=f"[{folder}/0.txt,{tmp_path}/b]") == tests
    (folder / "2.txt").write_bytes(whole[2000:] + b"!")
    for call in (lambda: train(config), lambda: train(text(*words, "trainer.max_steps=6"))):
        with pytest.raises(UserError, match="data: the content is not what it was when .* was begun"):
            call()
    shutil.rmtree(folder)
    train(config)
    assert "note: data.path=texts: no longer exists; the result" in capsys.readouterr().err


@pytest.mark.slow
def test_what_a_result_does_not_have_is_not_shown(sequences, capsys):
    """Missing values of an edited or foreign result.json are not shown."""
    config = sequences()
    run = Run.of(config)
    kept = {key: run.result()[key] for key in ("status", "metrics", "steps", "config_hash")}
    run.result_file.write_text(json.dumps(kept))
    assert run_and_report(train_session, Session.open(config)) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"palindrome/{run.path.parent.name} seed 0: completed\n") and err == ""
    assert "test/loss" in out and "│ steps" in out and "│ device" not in out


def test_data_that_cannot_be_compared_are_told(text, capsys):
    config = text()
    damage_result(Run.of(config), data_digest=None)
    shutil.rmtree(Run.of(config).checkpoints)
    train(config)
    assert capsys.readouterr().err.startswith("note: data.path=input.txt: cannot be compared with the data")


@pytest.mark.parametrize(
    "word, says",
    [
        ("callbacks.gradient_flow.enabled=true", "fix: python -m lightning_dl2.analyze gradients run={run}, for the"),
        ("callbacks.curves=true", "fix: python -m lightning_dl2.report {run}\n"),
        ("callbacks.samples.enabled=true", "fix: python -m lightning_dl2.generate run={run}\n"),
        ("trainer.profiler=simple", "fix: use resume=restart, which trains it again\n"),
        ("trainer.max_steps=2", "trained for 4 steps; fix: use another root\n"),
    ],
)
def test_what_is_not_done_is_told_with_the_way_to_get_it(sequences, text, capsys, word, says):
    config = (text if "samples" in word else sequences)(word)
    run = Run.of(config)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    result, _ = train(config)
    err = capsys.readouterr().err
    assert result == run.result() and err.startswith(f"note: {word}: ") and err.count("\n") == 1
    assert says.format(run=run.path) in err
    assert before == {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    attend_sweep([config, config])
    assert capsys.readouterr().err.startswith(f"note: {word}: 2 jobs are complete and not started again; fix: call")


@pytest.mark.slow
def test_tensorboard_gets_a_complete_run_once(sequences, capsys):
    config = sequences("logger=tensorboard")
    run = Run.of(config)
    for says in ("note: logger=tensorboard: has got the complete run from its files\n", ""):
        train(config)
        assert capsys.readouterr().err == says
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    logged = [(int(row["step"]), float(row["val/loss"])) for row in read_metrics(run.metrics_file) if row["val/loss"]]
    assert [(event.step, pytest.approx(event.value)) for event in events.Scalars("val/loss")] == logged


def test_objects_are_those_of_training(sequences):
    result, objects = train(sequences())
    assert list(objects) == ["run", "task", "datamodule", "trainer"] and len(objects) == 4
    assert isinstance(objects["task"], SequenceClassifier) and objects["task"] is objects["task"]
    (metrics,) = objects["trainer"].test(objects["task"], objects["datamodule"], verbose=False)
    assert metrics == {key: value for key, value in result["metrics"].items() if key.startswith("test/")}
    with pytest.raises(KeyError):
        objects["loader"]


@pytest.mark.slow
def test_a_run_is_loaded_from_its_directory_alone(text):
    run = Run.of(text())
    os.unlink("input.txt")
    for of in (run, run.path, str(run.path)):
        task, config, result = load(of)
        assert isinstance(task, TextGenerator) and config.task == text().task and result == run.result()
    assert repr(run) == f"Run('{run.path}')"
    with pytest.raises(UserError, match="run=nothing: holds no run"):
        load("nothing")
    with pytest.raises(UserError, match="checkpoint=third: there is no file"):
        load(run, "third")


@pytest.mark.parametrize("config", ["experiment=palindrome", {"seed": 1}, None])
def test_what_is_no_configuration_is_told(config):
    with pytest.raises(TypeError, match=f"config is of the type {type(config).__name__}; allowed: a configuration"):
        train(config)
