"""Check, before training, that a user's own Trainer has what a callback needs."""

from typing import Any

from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import Checkpoint

from lightning_dl2.common.errors import UserError


def needed(callback: Callback, owner: Any, name: str, fix: str) -> Any:
    """Return an attribute that a callback needs.

    Args:
        callback: named by the error.
        owner: a LightningModule, or a data module; None: the Trainer was given none.
        name: of the attribute.
        fix: what to give the Trainer instead.

    Raises:
        UserError: there is no such attribute.
    """
    if (value := getattr(owner, name, None)) is None:
        what = "was given no data module" if owner is None else f"{type(owner).__name__} has no {name}"
        raise UserError(f"{type(callback).__name__}: {what}; fix: {fix}")
    return value


def validation_metrics(trainer: Trainer) -> dict[str, float]:
    """Return the metrics that a validation has logged, at its end; `step`, an axis, is none of them."""
    results: Any = trainer.fit_loop.epoch_loop.val_loop._results
    found = trainer.callback_metrics
    own = [result for result in results.values() if result.meta.on_epoch and not result.has_reset]
    names = {name for result in own for name in results._forked_name(result, False)}
    return {name: value.item() for name, value in found.items() if name in names - {"step"}}


def monitored(callback: Callback, metrics: dict[str, Any], monitor: str) -> Any:
    """Return the metric that a callback monitors.

    Args:
        metrics: of `validation_metrics`.

    Raises:
        UserError: the validation has not logged it.
    """
    if monitor not in metrics:
        none = ["null"] if isinstance(callback, Checkpoint) else []  # the last weights are then the best
        allowed = ", ".join([*sorted(metrics), *none]) or "a metric that it logs"
        what = f"{type(callback).__name__}: monitor={monitor}: the validation logs no such metric"
        raise UserError(f"{what}; allowed: {allowed}")
    return metrics[monitor]
