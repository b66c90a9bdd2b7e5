"""Every process trains the same configuration from the same step, or none trains."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from lightning_dl2.cli import UserError


class Agreement(Callback):
    """Compares what the processes bring, before the first step; machines may see another clone or another disk.

    Args:
        brings: plain values that must be equal on every rank.
    """

    def __init__(self, **brings: Any) -> None:
        self.brings = brings

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        first = trainer.strategy.broadcast(self.brings)
        if trainer.strategy.reduce_boolean_decision(self.brings == first):
            return
        raise UserError(
            f"the processes differ: rank {trainer.global_rank} has {self.brings}, rank 0 {first};"
            " allowed: the same command, conf/ and root on every machine"
        )
