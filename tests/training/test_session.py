"""Test that a training resolves its directory, ranks and devices once, and that opening a session is cheap."""

import subprocess
import sys
from collections import Counter

import pytest
import torch

from lightning_dl2 import train
from lightning_dl2.common import launcher
from lightning_dl2.config.identity import to_overrides
from lightning_dl2.distributed.devices import Devices
from lightning_dl2.run.directory import Run
from lightning_dl2.train import main
from lightning_dl2.training.session import Session


@pytest.mark.slow
@pytest.mark.parametrize("command", [False, True])
def test_a_training_resolves_each_fact_once(tiny, monkeypatch, command):
    """A training asks once for its directory, the ranks of a launcher, and the devices of this machine."""
    config = tiny("trainer.max_steps=4", "trainer.devices=auto", "trainer.accelerator=auto")
    asked: Counter[str] = Counter()

    def counted(name, function):
        def count(*args, **options):
            asked[name] += 1
            return function(*args, **options)

        return count

    monkeypatch.setattr(Run, "of", counted("run", Run.of))
    monkeypatch.setattr(launcher, "check", counted("launcher", launcher.check))  # by `launched`, at its begin
    monkeypatch.setattr(Devices, "__init__", counted("devices", Devices.__init__))
    for name in ("is_gpu", "per_machine"):
        monkeypatch.setattr(vars(Devices)[name], "func", counted(name, vars(Devices)[name].func))
    if command:
        assert main(to_overrides(config)) == 0
    else:
        train(config)
    assert asked == dict.fromkeys(("run", "launcher", "devices", "is_gpu", "per_machine"), 1)


def test_a_session_asks_for_devices_late_and_once(tiny, monkeypatch):
    """A session counts the GPUs when its devices are first asked for, and keeps the number."""
    counts = iter([3])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: next(counts))
    opened = Session.open(tiny("trainer.accelerator=auto", "trainer.devices=auto"))
    assert (opened.devices.is_gpu, opened.devices.per_machine, opened.devices.per_machine) == (True, 3, 3)


@pytest.mark.slow
def test_opening_a_session_imports_no_torch(tmp_path):
    """Opening a session loads no torch: a complete run, or a wrong key, answers at once."""
    code = f"""
import sys
from lightning_dl2.config.compose import compose
from lightning_dl2.training.session import Session
opened = Session.open(compose("root={tmp_path}/runs"))
assert opened.is_rank_zero and opened.group.world_size == 1
print("torch" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
    assert not (tmp_path / "runs").exists()
