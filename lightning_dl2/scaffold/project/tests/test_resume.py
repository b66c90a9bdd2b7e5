"""Test that a run which is killed again and again ends with the bits of a run that never stopped."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

PROJECT = Path(__file__).parent.parent


def start(root: Path, *overrides: str) -> "subprocess.Popen[bytes]":
    words = ["experiment=digits", "trainer.max_steps=200", "callbacks.checkpoint.every_n_steps=10", f"root={root}"]
    command = [sys.executable, "-m", "lightning_dl2.train", "--config-dir", "conf", *words, *overrides]
    return subprocess.Popen(command, cwd=PROJECT, env={**os.environ, "OMP_NUM_THREADS": "1"})


def last_checkpoint(root: Path) -> dict[str, torch.Tensor]:
    (file,) = root.rglob("last.ckpt")
    weights: dict[str, torch.Tensor] = torch.load(file, weights_only=True)["state_dict"]
    return weights


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_run_ends_with_the_same_bits(tmp_path: Path, workers: int) -> None:
    overrides = f"data.num_workers={workers}"
    assert start(tmp_path / "whole", overrides).wait() == 0
    for _ in range(3):
        process = start(tmp_path / "killed", overrides)
        while process.poll() is None and not list((tmp_path / "killed").rglob("last.ckpt")):
            time.sleep(0.05)
        time.sleep(random.uniform(0, 1))
        process.kill()  # -9: nothing is saved
        process.wait()
    assert start(tmp_path / "killed", overrides).wait() == 0
    whole, killed = last_checkpoint(tmp_path / "whole"), last_checkpoint(tmp_path / "killed")
    assert whole.keys() == killed.keys() and all(torch.equal(whole[name], killed[name]) for name in whole)
