"""The moving average of the weights: validations, checkpoints' `state_dict` and samples are of the average."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import WeightAveraging as LightningWeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAveraging(LightningWeightAveraging):
    """Lightning's callback as an exponential moving average that a resumed run goes on with exactly.

    Args:
        decay: weight of the past in the average, a step.
        start_step: the first optimiser step, counted from 0, that is averaged; up to it the average is the weights.
    """

    def __init__(self, decay: float, start_step: int) -> None:
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))
        self.start_step = start_step

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return step_idx is not None

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *batch: Any) -> None:
        if self._latest_update_step < trainer.global_step <= self.start_step + 1:
            assert self._average_model
            self._average_model.n_averaged.zero_()  # what comes first is copied
        super().on_train_batch_end(trainer, pl_module, *batch)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning's would put the average in the weights' place, and a run that is extended would go on from it."""

    @contextmanager
    def average_in_place(self, pl_module: LightningModule) -> Iterator[None]:
        """Within the block the module has the averaged weights."""
        self._swap_models(pl_module)
        try:
            yield
        finally:
            self._swap_models(pl_module)
