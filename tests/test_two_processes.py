"""Two processes with DDP are one process with the doubled batch: in weights, metrics, curriculum and when they stop.

Run as a program, this file is what the two processes do.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning import Callback

from lightning_dl2.callbacks import ExactResume, Interrupted, KeepCheckpoints, LengthCurriculum, Preemption
from tests.small import CURRICULUM, small_data, small_task, small_text, small_trainer, small_writer

SIZE = 17  # in batches of 4: 9 sequences and 8, neither equal nor even
RULE = CURRICULUM | {"threshold": 0.05, "smoothing": 0.9}
STEPS = 8


class Interrupt(Callback):
    """Rank 1 alone is told to end, in the middle of a step."""

    def on_before_backward(self, trainer, *_):
        if trainer.global_step == 3 and trainer.global_rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def fit(batch_size: int, **options) -> tuple[pl.Trainer, dict]:
    """What came of training, as plain values."""
    data = small_data(
        length=9, batch_size=batch_size, curriculum=RULE, validation_size=SIZE, test_size=SIZE, evaluation_batch_size=4
    )
    task = small_task(data, optimizer={"name": "SGD", "learning_rate": 0.5})
    trainer = small_trainer(max_steps=STEPS, gradient_clip_val=0.3, callbacks=[LengthCurriculum()], **options)
    trainer.fit(task, data)
    metrics = {key: value.item() for key, value in trainer.callback_metrics.items() if key.startswith("val/")}
    metrics |= trainer.test(task, data, verbose=False)[0]
    weights = {name: value.tolist() for name, value in task.state_dict().items()}
    return trainer, {"weights": weights, "metrics": metrics, "curriculum": data.curriculum.state_dict()}


def interrupted(directory: Path, **options) -> dict:
    keep, data = KeepCheckpoints(directory, every_n_steps=100, monitor="val/accuracy", mode="max"), small_data()
    trainer = small_trainer(max_steps=100, callbacks=[Interrupt(), keep, Preemption(keep, None)], **options)
    try:
        trainer.fit(small_task(data), data)
    except Interrupted as error:
        return {"message": str(error), "exit_code": error.exit_code}
    return {"message": "not interrupted"}


def write(book: Path, batch_size: int, directory: Path | None = None, **options) -> dict:
    """A text generator trained on a text, in one go or with a stop in between."""
    stops, start = ((5, STEPS), None) if directory else ((STEPS,), None)
    for steps in stops:
        data = small_text(book, batch_size=batch_size, evaluation_batch_size=5)
        task = small_writer(data, optimizer={"name": "SGD", "learning_rate": 0.5})
        trainer = small_trainer(max_steps=steps, callbacks=[ExactResume(0)], **options)
        trainer.fit(task, data, ckpt_path=start, weights_only=True)
        if directory:
            start = directory / f"{steps}.ckpt"
            trainer.save_checkpoint(start)
    (metrics,) = trainer.test(task, data, verbose=False)
    weights = {name: value.tolist() for name, value in task.state_dict().items()}
    return {"metrics": metrics, "weights": weights, "state": [part.tolist() for part in task.state]}


if __name__ == "__main__":
    out, two = Path(sys.argv[1]), {"devices": 2, "strategy": "ddp", "use_distributed_sampler": False}
    trainer, found = fit(8, **two)
    found["interrupted"] = interrupted(out, **two)
    found["text"] = write(Path(sys.argv[2]), 2, **two)
    found["resumed_text"] = write(Path(sys.argv[2]), 2, out, **two)
    (out / f"{trainer.global_rank}.json").write_text(json.dumps(found))


@pytest.fixture(scope="module")
def ranks(tmp_path_factory, book):
    out = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "tests.test_two_processes", str(out), str(book)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((out / f"{rank}.json").read_text()) for rank in (0, 1)], out


def test_all_ranks_agree(ranks):
    (first, second), _ = ranks
    for found in (first, second):  # each carries the state of its own streams
        assert found["text"].pop("state") == found["resumed_text"].pop("state")
    assert first == second


def test_two_ranks_are_one_process_with_the_doubled_batch(ranks):
    ((found, _), _), (_, one) = ranks, fit(16)
    assert found["curriculum"] == pytest.approx(one["curriculum"])
    assert found["curriculum"]["length"] > RULE["start"]
    for name, value in one["weights"].items():
        torch.testing.assert_close(torch.tensor(found["weights"][name]), torch.tensor(value), msg=name)


def test_two_ranks_write_as_one_process_with_the_doubled_batch(ranks, book):
    ((found, _), _), one = ranks, write(book, 4)
    for name, value in one["weights"].items():
        torch.testing.assert_close(torch.tensor(found["text"]["weights"][name]), torch.tensor(value), msg=name)
    assert found["text"]["metrics"] == pytest.approx(one["metrics"], rel=1e-3)


def test_a_resumed_text_equals_the_uninterrupted_on_two_ranks(ranks):
    (found, _), _ = ranks
    assert found["resumed_text"] == found["text"]


def test_metrics_are_those_of_every_sequence_once(ranks):
    ((found, _), _), (_, one) = ranks, fit(16)
    assert set(found["metrics"]) > {"val/loss", "val/accuracy", "test/loss", "test/accuracy"}
    assert found["metrics"] == pytest.approx(one["metrics"], rel=1e-4)
    assert found["metrics"]["test/accuracy"] * SIZE == pytest.approx(round(found["metrics"]["test/accuracy"] * SIZE))


def test_one_rank_is_signalled_and_all_stop_together(ranks):
    (first, second), out = ranks
    assert first["interrupted"] == second["interrupted"] == {"message": "SIGTERM at step 4", "exit_code": 143}
    assert torch.load(out / "last.ckpt", weights_only=True)["global_step"] == 4
