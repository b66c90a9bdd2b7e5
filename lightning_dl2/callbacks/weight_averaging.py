"""Average the weights over steps, for validations, samples and the `state_dict` of checkpoints."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import WeightAveraging as LightningWeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAveraging(LightningWeightAveraging):
    """Keep an exponential moving average by Lightning's callback, which a resumed run continues exactly.

    Args:
        decay: weight of the past in the average, at each step.
        start_step: the first averaged optimiser step, counted from 0; up to it the average equals the weights.
    """

    def __init__(self, decay: float, start_step: int) -> None:
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))
        self.start_step = start_step

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return step_idx is not None

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *batch: Any) -> None:
        if self._latest_update_step < trainer.global_step <= self.start_step + 1:
            assert self._average_model
            self._average_model.n_averaged.zero_()  # the first update copies the weights
        super().on_train_batch_end(trainer, pl_module, *batch)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights, which Lightning's callback would replace by the average: an extended run needs them."""

    @contextmanager
    def average_in_place(self, pl_module: LightningModule) -> Iterator[None]:
        """Give the module the averaged weights within the block."""
        self._swap_models(pl_module)
        try:
            yield
        finally:
            self._swap_models(pl_module)
