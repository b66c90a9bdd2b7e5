"""Tell of a LightningModule of the user's own what the package's tasks tell of themselves."""

import math
import sys
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.nn.utils import get_total_norm

from lightning_dl2.tasks.task import MAX_SKIPPED, NonFiniteError, Task, non_finite_error

REPAIRS = ("on_before_optimizer_step", "configure_gradient_clipping", "optimizer_step")  # may replace a bad gradient


class OwnModule(Callback):
    """Stop before an update that would make parameters NaN; note metrics of one rank alone.

    A `Task` does both by itself, and is left alone. A module that has one of the hooks REPAIRS may skip or mend a bad
    update: it is stopped after one that has made parameters NaN.
    """

    def __init__(self) -> None:
        self.losses: tuple[Tensor, ...] = ()  # since the last update, as they went backward
        self.skipped = 0  # updates in a row, with fp16
        self.told: set[str] = set()  # metrics

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        if not isinstance(pl_module, Task):
            self.losses += (loss.detach().float().mean(),)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """Check losses and gradients, as `Task.configure_gradient_clipping` does.

        Raises:
            NonFiniteError: a loss or gradient is NaN or infinite, on any rank; all ranks raise it. With fp16, where
                steps are skipped until the scale fits, it is raised after MAX_SKIPPED skipped steps.
        """
        losses, self.losses = self.losses, ()
        if isinstance(pl_module, Task) or not losses or _repairs(pl_module):
            return
        norm = _gradient_norm(optimizer)
        # The sum is finite where all are: one transfer from the device for all losses.
        bad = not math.isfinite(norm) or not math.isfinite(torch.stack(losses).sum().item())
        if not trainer.strategy.reduce_boolean_decision(bad, all=False):
            self.skipped = 0
            return
        self.skipped += 1
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        if not scaled or self.skipped > MAX_SKIPPED:
            raise non_finite_error(pl_module, losses, norm, "learning rate")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Raise NonFiniteError where the last update of a module with one of the hooks REPAIRS has made a NaN."""
        if isinstance(pl_module, Task) or not _repairs(pl_module):
            return
        if not math.isfinite(_norm([parameter.detach() for parameter in pl_module.parameters()])):
            bad = next(name for name, parameter in pl_module.named_parameters() if not parameter.isfinite().all())
            raise NonFiniteError(
                f"step {trainer.global_step}: {bad} is NaN or infinite after the update; what may help: a lower"
                " learning rate, clipped gradients"
            )

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._tell_of_one_rank(trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._tell_of_one_rank(trainer, pl_module)

    def _tell_of_one_rank(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note, once for each metric, that it is logged without `sync_dist`: Lightning's warning is in no terminal."""
        if isinstance(pl_module, Task) or trainer.world_size == 1 or not trainer.is_global_zero:
            return
        results = trainer._results  # Lightning has no public way to ask how a metric was logged
        found = [each.meta for each in results.values() if each.is_tensor] if results is not None else []
        alone = {meta.name for meta in found if not meta.sync.should and not meta.sync.rank_zero_only} - self.told
        if alone:
            self.told |= alone
            names = ", ".join(sorted(alone))
            many = "it is" if len(alone) == 1 else "each is"
            print(
                f"note: {names}: logged without sync_dist=True, so {many} of the share of process 0 of"
                f" {trainer.world_size} alone; fix: self.log(..., sync_dist=True), or log a torchmetrics.Metric",
                file=sys.stderr,
            )


def _repairs(module: LightningModule) -> bool:
    return any(is_overridden(hook, module) for hook in REPAIRS)


def _gradient_norm(optimizer: Any) -> float:
    """Return the norm of the gradients that an optimiser reads."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return _norm([p.grad.coalesce().values() if p.grad.is_sparse else p.grad for p in parameters if p.grad is not None])


def _norm(tensors: list[Tensor]) -> float:
    """Return the norm of all tensors; infinite or NaN only where one of their numbers is."""
    norm = get_total_norm(tensors).item()
    if math.isfinite(norm) or not all(tensor.isfinite().all() for tensor in tensors):
        return norm
    return sys.float_info.max  # too large for the type of the tensors, as in precision=16-true
