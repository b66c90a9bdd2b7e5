"""Test the number of a run's devices, and the refusal of devices that this machine lacks."""

import pytest
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.distributed.devices import Devices


def devices(config):
    return Devices(config.trainer)


@pytest.mark.slow
def test_ranks_on_each_machine(tiny, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert devices(tiny("trainer=ddp_cpu", "trainer.num_nodes=2")).per_machine == 2
    assert devices(tiny("trainer.devices=auto")).per_machine == 1  # on the CPU
    assert devices(tiny("trainer.devices=auto", "trainer.accelerator=auto")).per_machine == 4


def test_more_gpus_than_there_are(tiny, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    devices(tiny("trainer.accelerator=gpu", "trainer.devices=2", "trainer.precision=16-mixed")).check()
    with pytest.raises(UserError, match=r"trainer.devices=4: this machine has 2 GPU\(s\); allowed: 1 to 2"):
        devices(tiny("trainer.accelerator=gpu", "trainer.devices=4")).check()
