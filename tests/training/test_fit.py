"""Test what one training run tests and what its result says."""

import signal

import pytest
import torch

from lightning_dl2 import evaluate, train
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import read_rows
from lightning_dl2.resume.checkpoint_file import serialize, write
from lightning_dl2.resume.preemption import Interrupted
from lightning_dl2.run.directory import variant
from lightning_dl2.tasks import SequenceClassifier
from tests.small import signalled


@pytest.mark.slow
def test_result_says_what_happened(tiny):
    config = tiny("seed=5")
    result, objects = train(config)
    assert (result["experiment"], result["variant"], result["seed"]) == ("palindrome", variant(config), 5)
    assert (result["status"], result["stopped_by"], result["solved_at"]) == ("completed", "limit", None)
    assert (result["steps"], result["epochs"]) == (24, 3)
    assert result["parameters"] == sum(p.numel() for p in objects["task"].parameters())
    assert result["steps_per_second"] > 0 and result["seconds"] > 0
    assert result == objects["run"].result()
    assert set(result["metrics"]) == {
        "test/accuracy", "test/loss", "test/majority_baseline", "val/accuracy", "val/loss",
    }  # fmt: skip


@pytest.mark.slow
def test_with_as_many_processes_as_there_were(tiny, monkeypatch):
    """A resume with another number of processes, as by devices=auto on another machine, is refused without a change."""
    config = tiny("trainer.max_steps=10")
    run = train(config)[1]["run"]
    state = run.load(run.last)
    assert (state["world_size"], state["gpu"], state["within_step"]) == (1, False, False)
    write(run.last, serialize(state | {"world_size": 2}))
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file() and path.suffix != ".log"}
    with pytest.raises(UserError, match=r"trainer.devices: 1 process\(es\) here, 2 when"):
        train(tiny("trainer.max_steps=12"))
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.slow
def test_a_learning_rate_that_ends_before_the_training_is_told(tiny, capsys):
    rule = ("optimizer.schedule.name=linear", "optimizer.schedule.total_steps=6", "optimizer.schedule.final_factor=0.1")
    train(tiny(*rule, "trainer.max_steps=6"))
    assert "note" not in capsys.readouterr().err
    train(tiny(*rule, "trainer.max_steps=8"))
    assert capsys.readouterr().err == (
        "note: optimizer.schedule.total_steps=6: from there to trainer.max_steps=8 the learning rate is 0.1 times"
        " optimizer.learning_rate\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("each", ["null", "1"])
def test_a_share_of_an_epoch_is_whole_batches_and_exact_on_resume(tiny, capsys, each):
    """An interval of 0.43 of 7 batches validates after every 3, across epochs or anew in each epoch."""
    words = ("trainer.val_check_interval=0.43", f"trainer.check_val_every_n_epoch={each}", "trainer.max_steps=20")
    whole = train(tiny("root=" + tiny().root + "/whole", *words))[1]["run"].metrics_file
    told = "note: trainer.val_check_interval=0.43: every 3 of the 7 training batches of an epoch\n"
    assert capsys.readouterr().err == told
    for steps in (4, 11, 20):
        parts = train(tiny(*words, f"trainer.max_steps={steps}"))[1]["run"].metrics_file
    assert whole.read_bytes() == parts.read_bytes()
    validated = [int(row["step"]) for row in read_rows(whole) if row["val/loss"]]
    assert validated == ([3, 6, 9, 12, 15, 18] if each == "null" else [3, 6, 10, 13, 17, 20])


@pytest.mark.slow
def test_a_begun_epoch_is_not_done(tiny):
    """A run of 24 steps has begun its fourth epoch of 7 batches; asked for four epochs, it resumes."""
    epochs = [train(tiny(*words))[0]["epochs"] for words in ((), ("trainer.max_steps=-1", "trainer.max_epochs=4"))]
    assert epochs == [3, 4]


@pytest.mark.slow
def test_the_best_weights_are_tested(tiny):
    result, objects = train(tiny("optimizer.learning_rate=0.03"))
    best = torch.load(objects["run"].best, weights_only=True)
    assert best["global_step"] == result["best_step"] < 24
    for name, value in objects["task"].state_dict().items():
        assert torch.equal(value, best["state_dict"][name]), name


@pytest.mark.slow
@pytest.mark.parametrize("averaging", [False, True])
def test_without_a_validation_the_last_weights_are_the_best(tiny, averaging):
    """Without a validation the last weights are tested and kept as best; a later validation decides anew."""
    words = ("trainer.val_check_interval=20", f"callbacks.weight_averaging.enabled={averaging}")
    result, objects = train(tiny("trainer.max_steps=10", *words, "callbacks.weight_averaging.decay=0.9"))
    run, tested = objects["run"], {key: value for key, value in result["metrics"].items() if key.startswith("test/")}
    assert evaluate(run) == evaluate(run, "last") == tested
    result, _ = train(tiny(*words, "callbacks.weight_averaging.decay=0.9"))
    assert result["best_step"] == 20 and evaluate(run)["test/loss"] == result["metrics"]["test/loss"]


@pytest.mark.slow
def test_fewer_epochs_than_there_are_is_the_end(tiny, monkeypatch):
    words = ("trainer.max_steps=-1", "trainer.max_time='00:00:00:30'")
    signalled(monkeypatch, SequenceClassifier, "training_step", signal.SIGTERM, step=17)
    with pytest.raises(Interrupted):
        train(tiny(*words, "trainer.max_epochs=9"))
    monkeypatch.undo()
    result, _ = train(tiny(*words, "trainer.max_epochs=1"))
    assert (result["status"], result["steps"]) == ("completed", 18)


@pytest.mark.slow
def test_every_metric_is_in_the_csv(tiny):
    result, objects = train(tiny())
    rows = read_rows(objects["run"].metrics_file)
    assert [int(row["step"]) for row in rows if row.get("val/loss")] == [5, 10, 15, 20]
    assert [int(row["step"]) for row in rows if row.get("train/loss")] == list(range(2, 25, 2))
    (test,) = [row for row in rows if row.get("test/loss")]
    assert {key: float(test[key]) for key in test if key.startswith("test/")} == {
        key: value for key, value in result["metrics"].items() if key.startswith("test/")
    }


@pytest.mark.slow
@pytest.mark.parametrize(("encoding", "notes"), [("auto", 1), ("latin-1", 0)])
def test_the_encoding_of_a_text_is_told(tiny_text, tmp_path, capsys, encoding, notes):
    text = tmp_path / "old.txt"
    text.write_text("na\xefef the cat sat. " * 200, encoding="latin-1")
    words = (f"data.path={text}", f"data.encoding={encoding}", "trainer.max_steps=2", "callbacks.samples.enabled=false")
    result, objects = train(tiny_text(*words))
    note = f"data.path={text}: was read as latin-1; fix: if that is wrong, set data.encoding=NAME"
    assert result["encoding"] == "latin-1" and capsys.readouterr().err.count(f"note: {note}\n") == notes
    assert objects["run"].log_file.read_text("utf-8").count(note) == notes


@pytest.mark.slow
def test_result_of_a_regression(tiny_graphs, molecules):
    """A regression has its own metrics and baselines, and curves draw them."""
    zinc = ("data=zinc", f"data.path={molecules}", "callbacks.checkpoint.monitor=val/mean_absolute_error")
    result, objects = train(tiny_graphs(*zinc, "callbacks.curves=true", "task.layer=gine", "trainer.max_steps=10"))
    baselines, metrics = {"median_baseline", "mean_baseline", "counts_baseline"}, {"loss", "mean_absolute_error"}
    assert set(result["metrics"]) == {f"test/{name}" for name in baselines | metrics} | {
        f"val/{name}" for name in metrics
    }
    assert (result["status"], result["steps"], result["epochs"]) == ("completed", 10, 3)  # 3 batches an epoch
    assert {f"test/{key}": value for key, value in objects["datamodule"].baselines().items()} == pytest.approx(
        {key: value for key, value in result["metrics"].items() if key.endswith("baseline")}
    )
    assert (objects["run"].path / "figures" / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_same_seed_same_result_and_another_another(tiny, tmp_path):
    results = [train(tiny(f"seed={seed}", f"root={tmp_path}/{n}"))[0] for n, seed in enumerate((1, 1, 2))]
    assert results[0]["metrics"] == results[1]["metrics"] != results[2]["metrics"]
    assert results[0]["config_hash"] == results[1]["config_hash"] != results[2]["config_hash"]


@pytest.mark.slow
def test_log_tells_the_course(tiny):
    _, objects = train(tiny())
    text = objects["run"].log_file.read_text()
    assert "from step 0" in text and "step 20 val/loss" in text


@pytest.mark.slow
def test_curves_are_drawn(tiny):
    _, objects = train(tiny("callbacks.curves=true"))
    assert (objects["run"].path / "figures" / "curves.png").read_bytes().startswith(b"\x89PNG")
