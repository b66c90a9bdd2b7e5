"""Test signals at any moment of training: the batch is finished, the state saved, and the exit code tells why."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from lightning_dl2 import compose, train
from lightning_dl2.common.command import SIGNALS
from lightning_dl2.data import SequenceDataModule
from lightning_dl2.resume import keep_checkpoints
from lightning_dl2.resume.keep_checkpoints import KeepCheckpoints
from lightning_dl2.resume.preemption import Interrupted, Preemption, seconds
from lightning_dl2.run.directory import Run
from lightning_dl2.tasks import SequenceClassifier
from lightning_dl2.train import main
from lightning_dl2.training import fit
from tests.comparison import checkpoint_differences, metrics_differences
from tests.conftest import TINY
from tests.small import signalled, small_data, small_task, small_trainer

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGUSR1: 75, signal.SIGHUP: 129}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the uninterrupted run."""
    return train(compose(*TINY, f"root={tmp_path_factory.mktemp('whole')}", "trainer.max_steps=14"))[1]["run"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "owner", "method", "step"),
    [
        (signal.SIGTERM, SequenceClassifier, "training_step", 11),  # the step is finished
        (signal.SIGTERM, SequenceClassifier, "validation_step", 10),
        (signal.SIGTERM, SequenceDataModule, "train_batch", 10),
        (signal.SIGUSR1, SequenceDataModule, "test_dataloader", 14),  # training is complete
        (signal.SIGTERM, SequenceClassifier, "configure_optimizers", 0),
        (signal.SIGINT, SequenceClassifier, "training_step", 11),
        (signal.SIGHUP, SequenceClassifier, "training_step", 11),
        (signal.SIGUSR1, SequenceClassifier, "training_step", 11),
    ],
)
def test_a_signal_saves_and_stops_and_the_run_goes_on_as_if_nothing_had_been(
    tiny, monkeypatch, whole, number, owner, method, step
):
    handlers = [signal.getsignal(known) for known in SIGNALS]
    signalled(monkeypatch, owner, method, number, step - (method == "training_step"))
    config = tiny("trainer.max_steps=14")
    with pytest.raises(Interrupted, match=f"{number.name} at step {step}$") as stopped:
        train(config)
    assert stopped.value.exit_code == CODES[number]
    assert [signal.getsignal(known) for known in SIGNALS] == handlers
    monkeypatch.undo()
    run = Run.of(config)
    assert run.result()["status"] == "interrupted"
    assert run.last.exists() == (step > 0)
    train(config)
    assert checkpoint_differences(whole, run) == []
    assert metrics_differences(whole, run) == []


@pytest.mark.slow
def test_what_a_signal_saves_has_no_noise(tiny, tmp_path, monkeypatch):
    """The signal is answered at the start of a batch, when the weights have the noise of that batch."""
    words = ("trainer.max_steps=14", "callbacks.weight_noise.enabled=true")
    _, whole = train(tiny(f"root={tmp_path}/whole", *words))
    signalled(monkeypatch, SequenceClassifier, "training_step", signal.SIGTERM)
    config = tiny(*words)
    with pytest.raises(Interrupted):
        train(config)
    monkeypatch.undo()
    train(config)
    assert checkpoint_differences(whole["run"], Run.of(config)) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "step", "saved"),
    [
        ((), 10, 9),
        (("trainer.max_steps=15",), 15, 14),  # training ends after that validation
        (("trainer.check_val_every_n_epoch=1", "trainer.val_check_interval=7"), 7, 6),
        # Batches 1 to 3 make step 1; the validation after batch 5 comes within step 2.
        (("trainer.accumulate_grad_batches=3", "trainer.max_steps=5", "data.batches_per_epoch=30"), 1, 1),
        (("callbacks.weight_averaging.enabled=true", "callbacks.weight_noise.enabled=true"), 10, 9),
        (("trainer.val_check_interval=500",), 14, 14),  # the validation of a run that ends before its first one
    ],
)
def test_a_long_validation_is_abandoned_and_repeated(tiny, tmp_path, monkeypatch, words, step, saved):
    """A long validation is abandoned without a trace and repeated, with at most the step before it."""
    words = ("trainer.max_steps=14", *words)
    _, whole = train(tiny(f"root={tmp_path}/whole", *words))
    monkeypatch.setattr(keep_checkpoints, "LONG", 0.0)
    signalled(monkeypatch, SequenceClassifier, "on_validation_start", signal.SIGTERM, step)
    config = tiny(*words)
    with pytest.raises(Interrupted, match=f"SIGTERM at step {step}, within the validation, which is to be") as stopped:
        train(config)
    assert stopped.value.exit_code == 143
    monkeypatch.undo()
    run = Run.of(config)
    assert torch.load(run.last, weights_only=True)["global_step"] == saved
    train(config)
    assert checkpoint_differences(whole["run"], run) == []
    assert run.metrics_file.read_bytes() == whole["run"].metrics_file.read_bytes()


@pytest.mark.slow
def test_a_short_validation_is_finished(tiny, monkeypatch):
    """A short validation is finished; only the first one of a process costs a copy of the state."""
    taken, take = [], KeepCheckpoints._serialize

    def notes(trainer):
        taken.append(trainer.global_step)
        return take(trainer)

    monkeypatch.setattr(KeepCheckpoints, "_serialize", staticmethod(notes))
    signalled(monkeypatch, SequenceClassifier, "on_validation_start", signal.SIGTERM, 10)
    words = ("trainer.max_steps=14", "callbacks.checkpoint.every_n_steps=100", "callbacks.checkpoint.monitor=val/loss")
    with pytest.raises(Interrupted, match="SIGTERM at step 10$"):
        train(tiny(*words, "callbacks.checkpoint.mode=min"))
    assert taken[0] == 4 and set(taken) <= {4, 5, 10}


@pytest.mark.slow
def test_a_second_signal_while_the_result_is_written_changes_nothing(tiny, monkeypatch):
    """A second signal is harmless while the result is written, as when a sweep's threads each send one."""
    late, write = [], Run.write_result
    signal.signal(signal.SIGTERM, lambda number, frame: late.append(number))
    signalled(monkeypatch, SequenceClassifier, "training_step", signal.SIGTERM)

    def again(self, *args, **values):
        os.kill(os.getpid(), signal.SIGTERM)
        return write(self, *args, **values)

    monkeypatch.setattr(Run, "write_result", again)
    with pytest.raises(Interrupted):
        train(tiny())
    assert late == [] and Run.of(tiny()).result()["status"] == "interrupted"


@pytest.mark.slow
def test_half_accumulated_gradients_are_not_lost(tiny, tmp_path, monkeypatch):
    """A signal in the second of three accumulated batches stops the run after the third."""
    words = "trainer.accumulate_grad_batches=3", "trainer.max_steps=5", "data.batches_per_epoch=30"
    original, count = SequenceClassifier.training_step, 0

    def sends(self, *args):
        nonlocal count
        count += 1
        if count == 8:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *args)

    config = tiny(f"root={tmp_path}/parts", *words)
    monkeypatch.setattr(SequenceClassifier, "training_step", sends)
    with pytest.raises(Interrupted, match="SIGTERM at step 3"):
        train(config)
    monkeypatch.undo()
    assert count == 9
    train(config)
    _, whole = train(tiny(f"root={tmp_path}/whole", *words))
    assert checkpoint_differences(whole["run"], Run.of(config)) == []


def keeper(path):
    return KeepCheckpoints(path, every_n_steps=100, monitor="val/accuracy", mode="max")


def test_lightnings_plain_trainer_needs_the_callback_alone(tmp_path, monkeypatch):
    keep, data = keeper(tmp_path), small_data()
    signalled(monkeypatch, SequenceClassifier, "training_step", signal.SIGTERM, step=3)
    handlers = [signal.getsignal(known) for known in SIGNALS]
    with pytest.raises(Interrupted, match="SIGTERM at step 4"):
        small_trainer(callbacks=[keep, Preemption(keep, None)]).fit(small_task(data), data)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 4
    assert [signal.getsignal(known) for known in SIGNALS] == handlers


def test_the_time_limit_asks_for_a_requeue(tmp_path, monkeypatch):
    keep, data = keeper(tmp_path), small_data()
    preemption = Preemption(keep, "0:00:01:00")
    keep.on_validation_end = lambda *args: setattr(preemption, "deadline", 0.0)  # the time limit is over
    trainer = small_trainer(callbacks=[keep, preemption], max_steps=20)
    with pytest.raises(Interrupted, match="the time limit at step 7") as stopped:
        trainer.fit(small_task(data), data)
    assert stopped.value.exit_code == 75
    assert (tmp_path / "last.ckpt").exists()


def test_durations():
    assert seconds("0:00:01:30") == 90
    assert seconds("2:03:04:05") == ((2 * 24 + 3) * 60 + 4) * 60 + 5


def test_listening_gives_the_signals_back():
    handlers = [signal.getsignal(known) for known in SIGNALS]
    preemption = Preemption(None, None)
    with pytest.raises(RuntimeError, match="inside"), preemption.listening():
        assert all(signal.getsignal(known) == preemption._handle for known in SIGNALS)
        raise RuntimeError("inside")
    assert [signal.getsignal(known) for known in SIGNALS] == handlers


def test_trains_in_a_thread_where_there_are_no_signals(tmp_path):
    keep, data, steps = keeper(tmp_path), small_data(), []
    preemption = Preemption(keep, None)

    def run():
        with preemption.listening():
            trainer = small_trainer(callbacks=[keep, preemption])
            trainer.fit(small_task(data), data)
            steps.append(trainer.global_step)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert steps == [6]


@pytest.mark.slow
def test_the_second_interrupt_stops_now():
    """A second interrupt ends the process at once."""
    code = """if True:
        import os, signal
        from lightning_dl2.resume.preemption import Preemption
        with Preemption(None, None).listening():
            os.kill(os.getpid(), signal.SIGINT)
            print("still here", flush=True)
            os.kill(os.getpid(), signal.SIGINT)
            print("never here", flush=True)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (-signal.SIGINT, "still here\n")


def test_a_signal_that_was_held_back_is_heard(as_before):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    preemption = Preemption(None, None)
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)  # pytest's other threads do not block the signal
    with preemption.listening():
        assert preemption.received == signal.SIGUSR1
    assert signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_command_that_does_not_listen_yet_keeps_the_signal(tmp_path, capsys, monkeypatch, as_before):
    def signalled_build(*arguments):
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        return build(*arguments)

    build = fit.build_data
    monkeypatch.setattr(fit, "build_data", signalled_build)
    assert main([*TINY, f"root={tmp_path}"]) == 75
    assert "stopped by SIGUSR1 at step 0" in capsys.readouterr().err


def test_an_interrupt_after_another_signal_is_the_first():
    preemption = Preemption(None, None)
    preemption._handle(signal.SIGTERM, None)
    preemption._handle(signal.SIGINT, None)  # the test's own process must not end
    assert preemption.received == signal.SIGINT


@pytest.mark.parametrize(("job", "seconds", "heard"), [("7", 90, "USR1"), ("7", 30, "TERM"), (None, 90, "TERM")])
def test_at_its_time_limit_a_job_of_slurm_is_still_to_go_on(job, seconds, heard, monkeypatch):
    """A job that gets SIGUSR1 and two minutes later SIGTERM resumes; an earlier SIGTERM or a Ctrl-C stops it."""
    monkeypatch.setenv("SLURM_JOB_ID", job) if job else monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    preemption, now = Preemption(None, None), time.monotonic()
    preemption._handle(signal.SIGUSR1, None)
    monkeypatch.setattr(time, "monotonic", lambda: now + seconds)
    preemption._handle(signal.SIGTERM, None)
    assert preemption.received == signal.Signals[f"SIG{heard}"]
    preemption._handle(signal.SIGINT, None)
    assert preemption.received == signal.SIGINT


def test_the_time_limit_does_not_stop_the_test(tmp_path):
    """The time limit does not apply to the final test, which could otherwise never finish."""
    keep = KeepCheckpoints(tmp_path, every_n_steps=100, monitor="val/accuracy", mode="max")
    preemption, data = Preemption(keep, None), small_data()
    trainer = small_trainer(callbacks=[keep, preemption])
    with preemption.listening():
        task = small_task(data)
        trainer.fit(task, data)
        preemption.deadline = 0.0
        (metrics,) = trainer.test(task, data, verbose=False)
    assert "test/accuracy" in metrics
