"""Test that ranks pass a step together: one directory, one output, one end."""

import hashlib
import os
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from lightning_dl2 import compose
from lightning_dl2.common.errors import UserError
from lightning_dl2.distributed import group
from lightning_dl2.run.directory import Run
from lightning_dl2.tasks import SequenceClassifier
from tests.conftest import TINY_TEXT
from tests.distributed.ranks import DDP, Ranks, hasty
from tests.test_train import differences


@pytest.mark.slow
def test_one_directory_and_one_voice(tmp_path):
    """Ranks train, find the run finished, and train anew in a directory that no rank reads too early."""
    words = [*DDP, f"root={tmp_path}/runs"]
    run = Run.of(compose(*words))
    first = Ranks([words, words], tmp_path)
    assert first.ended() == [0, 0], first.errors()
    printed = first.printed(0)
    assert printed[-1] == str(run.path) and first.printed(1) == first.errors() == []
    assert run.result()["world_size"] == 2
    again = Ranks([words, words], tmp_path)
    assert again.ended() == [0, 0] and again.printed(0) == printed and again.printed(1) == []
    restarted = Ranks([[*words, "resume=restart"]] * 2, tmp_path)
    assert restarted.ended() == [0, 0], restarted.errors()
    assert differences(Run(run.path.with_name("seed=0.old-1")), run) == []
    refused = Ranks([[*words, "resume=never"]] * 2, tmp_path)
    assert refused.ended() == [2, 2]
    assert refused.errors() == [
        (0, f"error: resume=never: {run.path} holds a run; allowed: auto, restart, or another root or seed")
    ]


@pytest.mark.slow
def test_wrong_input_is_told_once(tmp_path):
    for words, says in (
        ([*DDP, "data.batch_sise=8"], "error: data.batch_sise=8: there is no key"),
        (
            [*DDP, "trainer.devices=1"],
            "error: trainer.devices=1, trainer.num_nodes=1: the launcher has set WORLD_SIZE=2",
        ),
        ([*DDP, "data.test_size=1"], "error: trainer.devices: 2 processes share the 1 sequences of the test split"),
    ):
        ranks = Ranks([words, words], tmp_path)
        assert ranks.ended() == [2, 2]
        ((rank, line),) = ranks.errors()
        assert rank == 0 and line.startswith(says) and "on rank" not in line
    assert not list(tmp_path.glob("*/runs"))


@pytest.mark.slow
def test_wrong_input_of_one_ends_all(tmp_path, book):
    """All ranks end if one lacks the text or was started with other overrides."""
    words = [*TINY_TEXT, "trainer=ddp_cpu", "data.path=book.txt", "data.cache_dir=cache"]
    (tmp_path / "0").mkdir()
    (tmp_path / "0/book.txt").write_bytes(book.read_bytes())
    ranks = Ranks([words, words], tmp_path)
    assert ranks.ended() == [2, 2]
    ((rank, line),) = ranks.errors()
    assert rank == 0 and line.startswith("error: data.path=book.txt: ") and line.endswith("(on rank 1)")
    (tmp_path / "1/book.txt").write_bytes(book.read_bytes() * 2)  # another text
    ranks = Ranks([words, words], tmp_path)
    assert ranks.ended() == [2, 2]
    ((rank, line),) = ranks.errors()
    assert rank == 0 and line.startswith("error: data=") and "on rank 1" in line and "on rank 0" in line
    ranks = Ranks([DDP, [*DDP, "trainer.max_steps=25"]], tmp_path)
    assert ranks.ended() == [2, 2]
    ((rank, line),) = ranks.errors()
    assert rank == 0 and line.startswith("error: trainer.max_steps=25: on rank 1, but 24 on rank 0; allowed: the same")
    assert not list(tmp_path.glob("*/runs"))


@pytest.mark.slow
def test_a_directory_that_is_not_shared(tmp_path):
    """Run directories on separate disks are refused, empty ones as well as one with an older state."""
    ranks = Ranks([DDP, DDP], tmp_path, hasty)
    assert ranks.ended() == [2, 2]
    ((rank, line),) = ranks.errors()
    assert rank == 0 and "does not exist here, but rank 0 has made it" in line and line.endswith("(on rank 1)")
    assert Ranks([[*DDP, f"root={tmp_path}/both"]] * 2, tmp_path).ended() == [0, 0]
    for name in ("0", "1"):
        shutil.rmtree(tmp_path / name / "runs", ignore_errors=True)
        shutil.copytree(tmp_path / "both", tmp_path / name / "runs")
        next((tmp_path / name).rglob("result.json")).unlink()
    next((tmp_path / "1").rglob("last.ckpt")).unlink()
    ranks = Ranks([DDP, DDP], tmp_path)
    assert ranks.ended() == [2, 2]
    ((rank, line),) = ranks.errors()
    assert rank == 0 and line.startswith("error: step=") and " on rank 1, but 24 on rank 0; allowed: the same" in line


def breaks(method: str, how: Callable[[], None]) -> None:
    original = getattr(SequenceClassifier, method)

    def broken(self, batch, batch_idx):
        if self.global_rank == 1 and self.global_step == 10:
            how()
        return original(self, batch, batch_idx)

    setattr(SequenceClassifier, method, broken)


def raises() -> None:
    raise ValueError("only here")


def raises_in_training() -> None:
    breaks("training_step", raises)


def leaves_in_training() -> None:
    breaks("training_step", lambda: os._exit(0))


def dies_in_validation() -> None:
    breaks("validation_step", lambda: os.kill(os.getpid(), signal.SIGKILL))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prepare", "code", "says"),
    [
        (raises_in_training, 1, "error: rank 1: ValueError: only here (traceback in "),
        (leaves_in_training, 0, "error: RuntimeError: "),
        (dies_in_validation, -9, "error: RuntimeError: "),
    ],
)
def test_a_failure_of_one_is_the_failure_of_all(tmp_path, prepare, code, says):
    words = [*DDP, f"root={tmp_path}/runs"]
    run = Run.of(compose(*words))
    ranks = Ranks([words, words], tmp_path, prepare)
    assert ranks.ended() == [1, code]
    ((rank, line),) = ranks.errors()
    assert rank == 0 and line.startswith(says)
    assert run.result()["status"] == "failed" and run.find_resume_point().path == run.last
    if prepare is raises_in_training:
        assert "in raises\n    raise ValueError" in run.log_file.read_text()


@pytest.mark.parametrize(
    ("brings", "says"),
    [
        ([{"a": 1}, {"a": 1, "b": 2}], "b=2: on rank 1, but None on rank 0"),
        ([{"a": 1, "b": 2}, {"a": 1}], "b=None: on rank 1, but 2 on rank 0"),
        ([{"a": 1}, {"a": 2}], "a=2: on rank 1, but 1 on rank 0"),
    ],
)
def test_keys_that_one_rank_lacks_are_compared(brings, says):
    store = torch.distributed.HashStore()

    def agree(rank: int) -> str:
        with pytest.raises(UserError) as error:
            group.Group(rank, 2, store).agree(brings[rank])
        return str(error.value)

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(agree, (0, 1)))
    assert told[0] == told[1] and told[0].startswith(f"{says}; allowed: the same command")


def note_reads(owner, name: str) -> None:
    original = getattr(owner, name)

    def noted(file, *args, **kwargs):
        if hasattr(file, "name"):  # preflight loads the bytes of an optimiser's state
            with open("reads", "a", encoding="utf-8") as reads:
                reads.write(f"{name} {Path(file.name).name}\n")
        return original(file, *args, **kwargs)

    setattr(owner, name, noted)


def note_all_reads() -> None:
    """Note each file that this rank hashes or loads."""
    note_reads(hashlib, "file_digest"), note_reads(torch, "load")


@pytest.mark.slow
def test_each_rank_of_a_resumed_run_hashes_and_loads_the_checkpoint_once(tmp_path):
    words = [*DDP, f"root={tmp_path}/runs"]
    assert Ranks([[*words, "trainer.max_steps=12"]] * 2, tmp_path).ended() == [0, 0]
    assert Ranks([words, words], tmp_path, note_all_reads).ended() == [0, 0]
    for rank in ("0", "1"):
        reads = (tmp_path / rank / "reads").read_text().splitlines()
        assert [read for read in reads if read.endswith(" last.ckpt")] == ["file_digest last.ckpt", "load last.ckpt"]
