"""Test that prefetched batches are the same under signals, errors and kills."""

import errno
import gc
import multiprocessing.synchronize
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import resource_sharer
from types import SimpleNamespace

import pytest
import torch

from lightning_dl2.common.errors import ProcessError, UserError
from lightning_dl2.resume import workers
from lightning_dl2.resume.keep_checkpoints import KeepCheckpoints
from lightning_dl2.resume.preemption import Interrupted, Preemption
from lightning_dl2.resume.train_batches import detached_from_trainer
from lightning_dl2.resume.workers import Failure, prefetched
from lightning_dl2.tasks import SequenceClassifier
from tests.processes import ForkedProcess
from tests.small import small_data, small_graph, small_graph_set, small_task, small_text, small_trainer


def plain(batch) -> bytes:
    """Return all values of a batch, including types and the order of features."""
    return pickle.dumps(_values(batch))


def _values(value):
    if isinstance(value, torch.Tensor):
        return str(value.dtype), value.tolist()
    if isinstance(value, dict):
        return [(key, _values(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [_values(item) for item in value]
    return _values(vars(value)) if hasattr(value, "__dict__") else value


def text(path, **options):
    return small_text(path / "text.txt", " ".join(map(str, range(200))), **options)


pytestmark = pytest.mark.slow  # workers are processes

MAKERS = {
    "sequences": lambda path, **options: small_data(**options),
    "text": text,
    "nodes": lambda path, **options: small_graph(fanouts=[3, 3], **options),
    "graphs": lambda path, **options: small_graph_set(positional={"kind": "random_walk", "size": 2}, **options),
    "pattern": lambda path, **options: small_graph_set("pattern", max_nodes=6, num_graphs=23, **options),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("num_workers", [1, 2])
def test_any_number_of_workers_makes_the_same_batches(name, num_workers, tmp_path):
    here = list(MAKERS[name](tmp_path).train_dataloader())
    ahead = list(MAKERS[name](tmp_path, num_workers=num_workers).train_dataloader())
    assert len({plain(batch) for batch in here}) == len(here) > 1
    assert [plain(batch) for batch in ahead] == [plain(batch) for batch in here]


@pytest.mark.parametrize("name", ["sequences", "text", "graphs"])
def test_workers_know_rank_and_place_and_no_trainer(name, tmp_path):
    """Workers know rank 1 of 2 and its 3 finished batches, but get no Trainer."""
    found = []
    for num_workers in (0, 2):
        data = MAKERS[name](tmp_path, num_workers=num_workers)
        loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=SimpleNamespace(total=Processed(3))))
        data.trainer = SimpleNamespace(global_rank=1, world_size=2, fit_loop=loop, overfit_batches=0.0)
        found.append([plain(batch) for batch in data.train_dataloader()])
    assert found[0] == found[1]
    drawn, elsewhere = detached_from_trainer(data).train_batch(3), MAKERS[name](tmp_path).train_batch(3)
    assert found[0][0] == plain(drawn) != plain(elsewhere)


class Processed:
    """A part of Lightning's progress that can be read in this process only."""

    def __init__(self, number: int) -> None:
        self.number, self.process = number, os.getpid()

    @property
    def processed(self) -> int:
        assert os.getpid() == self.process
        return self.number


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    list(small_data(num_workers=2).train_dataloader())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_mistake_is_told_at_its_own_step_in_its_own_words():
    def make(step: int) -> int:
        if step == 5:
            raise UserError("data.path=x: is damaged")
        return step

    batches = prefetched(make, 2, 2)
    assert [next(batches) for _ in range(3)] == [2, 3, 4]
    failure = next(batches)
    del batches  # the exception's frame would keep the workers alive
    assert isinstance(failure, Failure)
    with pytest.raises(UserError) as caught:
        failure.reraise()
    assert str(caught.value) == "data.path=x: is damaged"
    assert "in make" in caught.value.__notes__[0]


def test_a_mistake_ends_the_training(monkeypatch):
    data, draw = small_data(num_workers=2), type(small_data()).train_batch

    def dies_at_9(self, step):
        if step == 9:
            raise ValueError("no such batch")
        return draw(self, step)

    monkeypatch.setattr(type(data), "train_batch", dies_at_9)
    trainer = small_trainer(max_steps=20)
    with pytest.raises(ValueError) as caught:
        trainer.fit(small_task(data), data)
    assert str(caught.value) == "no such batch"
    assert trainer.global_step == 9
    assert multiprocessing.active_children() == []


def test_workers_last_over_epochs_and_end_with_the_training():
    seen, data = [], small_data(batches_per_epoch=3, num_workers=2)
    task = small_task(data)
    step = task.training_step

    def watched(batch, batch_idx):
        seen.append({child.pid for child in multiprocessing.active_children()})
        return step(batch, batch_idx)

    task.training_step = watched
    small_trainer(max_steps=10).fit(task, data)
    assert len(seen) == 10 and len(seen[0]) == 2 and all(pids == seen[0] for pids in seen)
    assert multiprocessing.active_children() == []


def test_overfitting_repeats_its_batches():
    data, seen = small_data(num_workers=2), []
    task = small_task(data)
    step = task.training_step
    task.training_step = lambda batch, batch_idx: seen.append(plain(batch)) or step(batch, batch_idx)
    small_trainer(max_steps=6, overfit_batches=2).fit(task, data)
    assert seen == [plain(data.train_batch(step % 2)) for step in range(6)]


def test_signals_to_all_processes_leave_the_workers_at_work():
    batches = prefetched(slowly, 0, 2)
    assert next(batches) == 0
    workers = multiprocessing.active_children()
    pids = " ".join(str(worker.pid) for worker in workers)
    sender = subprocess.Popen(["sh", "-c", f"kill -TERM {pids} && kill -INT {pids} && kill -USR1 {pids}"])
    assert [next(batches) for _ in range(20)] == list(range(1, 21))
    assert sender.wait() == 0 and len(workers) == 2 and all(worker.is_alive() for worker in workers)
    for worker in workers:  # Python may end them at its exit
        worker.terminate()
        worker.join(10)
        assert worker.exitcode == 0


def slowly(step: int) -> int:
    time.sleep(0.005)
    return step


@pytest.fixture
def impatient(monkeypatch):
    for name, seconds in {"POLL": 0.05, "LATE": 0.1, "STUCK": 0.3}.items():
        monkeypatch.setattr(workers, name, seconds)


def large(step: int) -> torch.Tensor:
    return torch.full((1 << 18,), float(step))  # a megabyte, far more than a pipe's buffer


def test_a_worker_that_is_stopped_fails_the_run_in_one_line(impatient, capsys):
    """A worker stopped within or between batches fails the run in one line, and the others end."""
    for make in (large, slowly):
        batches = prefetched(make, 0, 2)
        assert plain(next(batches)) == plain(make(0))
        pids = [child.pid for child in multiprocessing.active_children()]
        os.kill(pids[0], signal.SIGSTOP)
        says = r"^data.num_workers=2: no batch for 0 s from the workers, process \d+, \d+; fix: "
        with pytest.raises(ProcessError, match=says):
            for _ in range(100):
                next(batches)
        assert capsys.readouterr().err.startswith("warning: no batch for 0 s from the workers, process ")
        del batches
        assert multiprocessing.active_children() == []


def test_who_is_asked_to_stop_makes_the_batch_that_does_not_come(impatient):
    asked = []
    batches = prefetched(slowly, 0, 1, lambda: bool(asked))
    found = [next(batches)]
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGSTOP)
    asked.append(True)
    found += [next(batches) for _ in range(20)]
    assert found == list(range(21)) and multiprocessing.active_children() == []


def test_a_signal_is_obeyed_while_a_worker_is_stopped(impatient, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "STUCK", 60.0)
    keep, data = KeepCheckpoints(tmp_path, every_n_steps=100, monitor="val/loss", mode="min"), small_data(num_workers=1)
    task, step = small_task(data), SequenceClassifier.training_step

    def stops(batch, batch_idx):
        if batch_idx == 3:
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGSTOP)
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()  # fires when no batch is left
        return step(task, batch, batch_idx)

    task.training_step = stops
    with pytest.raises(Interrupted, match="SIGTERM at step"):
        small_trainer(max_steps=100, callbacks=[keep, Preemption(keep, None)]).fit(task, data)
    assert (tmp_path / "last.ckpt").exists() and multiprocessing.active_children() == []


def test_batches_need_no_shared_memory():
    """Batches use neither shared memory nor torch's sockets, whose threads print errors when a run is interrupted."""
    values = [
        torch.zeros(3), torch.arange(6).view(2, 3)[:, 1], torch.tensor(True), torch.zeros(0, 2),
        torch.tensor(1.5).double(), torch.ones(2, dtype=torch.bfloat16), torch.eye(2).to_sparse(),
    ]  # fmt: skip

    def make(step):
        return {"values": values, "shares": resource_sharer._resource_sharer._listener is not None}

    batches = prefetched(make, 0, 1)
    for batch in (next(batches), next(batches), next(batches)):
        assert not batch["shares"]
        for found, value in zip(batch["values"], values, strict=True):
            assert found.is_sparse or not found.is_shared()
            torch.testing.assert_close(found, value, rtol=0, atol=0)
        batch["values"][0][0] = 1.0  # batches are writable


def test_workers_that_cannot_be_started_are_told_in_one_line(monkeypatch):
    """Workers that cannot start, as with a full /dev/shm, are reported in one line; torch's iterator is shut down."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(multiprocessing.synchronize._multiprocessing, "SemLock", full)
    unraised = []
    monkeypatch.setattr(sys, "unraisablehook", unraised.append)
    with pytest.raises(ProcessError, match="^data.num_workers=2: .*: No space left on device; fix: room in /dev/shm"):
        next(prefetched(int, 0, 2))
    gc.collect()
    assert not unraised


def test_a_killed_process_leaves_no_workers():
    """Workers end with a killed process, long before torch's own check, which is set to two minutes here."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    main = ForkedProcess(target=_wait_with_workers, args=(sender,))
    main.start()
    sender.close()  # so that recv() raises if the process fails
    workers = receiver.recv()
    assert len(workers) == 2 and all(_lives(worker) for worker in workers)
    main.kill()
    main.join()
    deadline = time.monotonic() + 60
    while any(_lives(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _wait_with_workers(sender) -> None:
    torch.utils.data._utils.worker.MP_STATUS_CHECK_INTERVAL = 120.0
    batches = prefetched(slowly, 0, 2)
    next(batches)
    sender.send([worker.pid for worker in multiprocessing.active_children()])
    time.sleep(60)


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"  # a zombie waits for its new parent
    except FileNotFoundError:
        return False
