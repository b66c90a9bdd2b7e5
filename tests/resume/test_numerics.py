"""Test the note for a resume or evaluation on another CPU or with other threads, where bits may differ."""

import pytest
import torch

from lightning_dl2 import compose, evaluate, train
from lightning_dl2.common.arithmetic import set_num_threads
from lightning_dl2.nets.recurrent import bfloat16
from lightning_dl2.nets.recurrent.bfloat16 import bfloat16_note
from lightning_dl2.resume.numerics import numerics, numerics_note
from tests.conftest import TINY
from tests.small import small_data, small_graph, small_graph_net, small_graph_set, small_task

CPU = torch.device("cpu")


@pytest.fixture
def two_threads():
    """Return a function that lets torch use two threads until the end of the test."""
    yield lambda: set_num_threads(2)
    set_num_threads(1)


@pytest.mark.slow
def test_other_threads_on_resume_are_told(tmp_path, capsys, two_threads):
    words = (*TINY, "trainer.num_threads=null", f"root={tmp_path}")
    config = compose(*words, "trainer.max_steps=4")
    _, objects = train(config)
    run = objects["run"]
    train(compose(*words, "trainer.max_steps=6"))
    assert evaluate(run) and "note" not in capsys.readouterr().err
    two_threads()
    told = "was written with threads=1, here threads=2"
    train(compose(*words, "trainer.max_steps=8"))
    note = f"the last checkpoint {told}: the rest of this run may differ in the last bits; fix: OMP_NUM_THREADS=1"
    assert f"note: {note}\n" in capsys.readouterr().err and note in run.log_file.read_text()
    evaluate(run, "last")
    assert not capsys.readouterr().err  # the checkpoint was written with the same threads
    set_num_threads(1)
    evaluate(run, "last")
    assert "checkpoint=last was written with threads=2, here threads=1: its figures may" in capsys.readouterr().err


def test_facts_that_decide_bits():
    task = small_task(small_data())
    assert numerics(task, CPU) == {
        "torch": torch.__version__,
        "device": "cpu",
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": 1,
        "flush_denormal": False,
    }
    assert numerics(small_graph_net(small_graph_set(), engine="torch"), CPU)["engine"] == "torch"


def test_a_note_names_what_has_changed():
    then = {"torch": "2.9", "threads": 1, "device": "cpu"}
    assert numerics_note("last.ckpt", then, {**then, "engine": "dgl"}, "all") is None  # an older version had no engine
    assert numerics_note("last.ckpt", None, then, "all") is None
    told = numerics_note("last.ckpt", then, {**then, "torch": "2.13", "threads": 4}, "all")
    assert told.endswith(
        "written with torch=2.9, threads=1, here torch=2.13, threads=4: all may differ in the last bits"
    )


def test_runs_on_neighbours_that_dgl_drew_are_told():
    """Older versions drew with DGL and wrote no sampler; a run that was begun by ours has no note."""
    data = small_graph(fanouts=[2, 2])
    now = numerics(small_graph_net(data), CPU, data)
    before = {key: value for key, value in now.items() if key != "sampler"}
    told = (
        "last.ckpt was written with sampler=dgl, here sampler=NeighborBlocks: the rest of this run draws other batches"
        " than the sampler that it was begun with"
    )
    assert numerics_note("last.ckpt", before, now, "the rest of this run") == told
    assert numerics_note("last.ckpt", None, now, "the rest of this run") == told
    assert numerics_note("last.ckpt", now, now, "the rest of this run") is None
    assert "sampler" not in numerics(small_graph_net(data), CPU, small_graph())


@pytest.mark.parametrize(
    ("cell", "works", "expected"), [("lstm", False, True), ("lstm", True, False), ("gru", False, False)]
)
def test_an_lstm_in_float32_is_told(cell, works, expected, monkeypatch):
    monkeypatch.setattr(bfloat16, "bfloat16_lstm_works", lambda: works)
    assert bool(bfloat16_note(small_task(small_data(), cell=cell).net, CPU)) is expected


def test_a_run_on_a_cpu_without_bfloat16_says_so_at_the_start(tiny, monkeypatch, capsys):
    monkeypatch.setattr(bfloat16, "bfloat16_lstm_works", lambda: False)
    words = ("task.cell=lstm", "trainer.precision=bf16-mixed", "trainer.max_steps=1")
    _, objects = train(tiny(*words))
    line = "trainer.precision=bf16-mixed: torch has no bfloat16 LSTM for this CPU; the LSTM computes in float32"
    assert f"note: {line}\n" in capsys.readouterr().err and line in objects["run"].log_file.read_text()


def test_the_probe_draws_nothing():
    bfloat16.bfloat16_lstm_works.cache_clear()
    before = torch.get_rng_state()
    bfloat16.bfloat16_lstm_works()
    assert torch.equal(torch.get_rng_state(), before)
