"""Processes that were started with different configurations, or from different steps, stop before they train."""

import pytest
from pytorch_lightning.strategies import SingleDeviceStrategy

from lightning_dl2 import train
from lightning_dl2.cli import UserError
from lightning_dl2.run import Run


def test_another_rank_zero(tiny, monkeypatch):
    def broadcast(self, brings, src=0):
        return brings | {"step": 7} if isinstance(brings, dict) else brings

    monkeypatch.setattr(SingleDeviceStrategy, "broadcast", broadcast)
    with pytest.raises(UserError, match="differ: rank 0 has .*'step': 0.*, rank 0 .*'step': 7.* allowed: the same"):
        train(tiny())
    assert not Run.of(tiny()).last.exists()
