"""Base of the tasks: optimiser, schedule, clipping, and the logging of training steps."""

import math
import sys
from typing import Any, Self

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torchmetrics import Metric

from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.resume.train_batches import batches_processed, datamodule_of
from lightning_dl2.tasks.optimizers import build_optimizer, build_schedule, complete, parameter_groups, takes_metric

MAX_SKIPPED = 32  # updates in a row that may be skipped while fp16 looks for its scale


def check_spec(spec: Any, *keys: str) -> None:
    """Raise ValueError, before a net is built, unless `spec` is a dict with all `keys` that the task reads."""
    if missing := [key for key in keys if not isinstance(spec, dict) or key not in spec]:
        raise ValueError(
            f"spec has no {missing[0]!r}; it must be the `spec` of a data module that goes with this task, or a dict of"
            f" at least {', '.join(keys)}"
        )


class NonFiniteError(RuntimeError):
    """A loss or gradient is NaN or infinite; raised before the update that would spread it."""


def non_finite_error(module: LightningModule, losses: tuple[Tensor, ...], norm: float, rate: str) -> NonFiniteError:
    """Describe where numbers stopped to be finite, in one line that is the same on all ranks.

    Args:
        module: holds the gradients of the update that is not to be made.
        losses: of the batches since the last update, each a scalar.
        norm: of all gradients.
        rate: the key or words for the learning rate.
    """
    bad = [name for name, p in module.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    last = batches_processed(module.trainer)
    first = last - len(losses) + 1
    batch = f"batch {last}" if first == last else f"batches {first} to {last}"
    loss = ""
    gathered: Any = module.all_gather(torch.stack(losses))
    for rank, of_rank in enumerate(gathered.view(-1, len(losses)).tolist()):
        for number, value in enumerate(of_rank, start=first):
            if not loss and not math.isfinite(value):
                batch, loss = f"batch {number}", f"loss {value} on rank {rank}, "
    clips = module.trainer.gradient_clip_val
    return NonFiniteError(
        f"step {module.global_step + 1}, {batch}: {loss}gradient norm {norm} (first in"
        f" {bad[0] if bad else 'the sum'}); no update was made; what may help: a lower {rate},"
        f" {'a lower trainer.gradient_clip_val' if clips else 'trainer.gradient_clip_val=1.0 (it is off)'}"
    )


class Task(LightningModule):
    """Base of the experiments' LightningModules.

    A subclass calls `save_hyperparameters()` with plain values only, so that its checkpoints load with
    `weights_only=True`, and `add_metrics()`. It has `build_metrics`, `evaluate_batch` and `training_step`, which
    returns `{"loss": ..., name: ...}`; each of these, as a mean over the batches of the step, is logged as
    `train/<name>` every `log_every_n_steps` steps.
    """

    net: Any  # a Module, and each task knows its own
    spec: dict[str, Any]  # of the data that it was built for
    written_with: dict[str, Any] | None = None  # the `numerics` of the checkpoint that it was loaded from
    update: dict[str, Any] | None = None  # what is to be logged of an update, once it is made
    outputs: tuple[dict[str, Tensor], ...] = ()  # of the batches since the last update
    losses: tuple[Tensor, ...] = ()  # likewise, as they went backward
    skipped = 0  # updates in a row, with fp16

    def build_metrics(self) -> dict[str, Metric]:
        """Build the metrics of a split, by name."""
        raise NotImplementedError

    def evaluate_batch(self, batch: Any, split: str) -> None:
        """Update the metrics of `split`, "val" or "test", and log them."""
        raise NotImplementedError

    def derived_metrics(self, split: str) -> dict[str, Tensor]:
        """Derive further metrics from those of a split, at its end."""
        return {}

    def check_data(self, data: Any) -> None:
        """Raise UserError where the net cannot read what this data module serves; called before a run begins."""

    def add_metrics(self) -> None:
        """Set each metric as an attribute `<split>_<name>`, where Lightning looks for it."""
        for split in ("val", "test"):
            for name, metric in self.build_metrics().items():
                setattr(self, f"{split}_{name}", metric)

    def metric(self, split: str, name: str) -> Metric:
        """Return a metric that `add_metrics` has added."""
        return getattr(self, f"{split}_{name}")

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.evaluate_batch(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.evaluate_batch(batch, "test")

    def log_metrics(self, split: str, *names: str, batch_size: int) -> None:
        """Log the metrics of a split as `<split>/<name>`, computed after its last batch."""
        self.log_dict({f"{split}/{name}": self.metric(split, name) for name in names}, batch_size=batch_size)

    def double(self) -> Self:
        """Convert parameters, buffers and metrics to float64.

        Lightning calls it for precision=64; torchmetrics would leave its states as they are.
        """
        for module in self.modules():
            if isinstance(module, Metric):
                states = [state for state in module.metric_state.values() if isinstance(state, Tensor)]
                if any(map(torch.is_floating_point, states)):
                    module.set_dtype(torch.float64)
        return super().double()

    def configure_optimizers(self) -> Any:
        config = complete(self.hparams["optimizer"] or {})
        optimizer = build_optimizer(parameter_groups(self.net, config), config)
        scheduler = build_schedule(optimizer, config["schedule"])
        rule: dict[str, Any] = {"scheduler": scheduler, "interval": config["schedule"]["interval"]}
        if takes_metric(scheduler):
            # Lightning saves and loads it, but never steps it: on_validation_epoch_end does, as Lightning would skip a
            # step in a resumed epoch.
            rule |= {"interval": "epoch", "frequency": sys.maxsize, "reduce_on_plateau": True}
            rule["monitor"] = config["schedule"]["monitor"] or "val/loss"
        return {"optimizer": optimizer, "lr_scheduler": rule}

    def on_fit_start(self) -> None:
        """Reset metrics and step records, which may hold another fit's.

        Trainer.validate leaves inference tensors in the metrics, which the validations of a fit cannot update.
        """
        for module in self.modules():
            if isinstance(module, Metric):
                module.reset()
        self.update, self.outputs, self.losses = None, (), ()  # of a fit that was stopped within a step

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Backpropagate; a NaN or infinite loss makes all gradients NaN, on all ranks."""
        self.losses += (loss.detach(),)
        loss.backward(1 + 0 * loss.detach())

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Compute the gradient norm once: to clip by it, to log it, and to check that it is finite.

        Other algorithms than the norm are left to Lightning.

        Raises:
            NonFiniteError: names the step, the batch and the first parameter with a bad gradient; the same on all
                ranks, which share the gradients. With fp16, where steps are skipped until the scale fits, it is raised
                after MAX_SKIPPED skipped steps.
        """
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        norm = get_total_norm(gradients, foreach=True)
        # Here the CPU waits for the GPU, once a step: without the number nobody knows whether to make the update.
        if math.isfinite(norm.item()):
            self.skipped = 0
        else:
            self.skipped += 1
            scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None
            if not scaled or self.skipped > MAX_SKIPPED:
                raise non_finite_error(self, self.losses, norm.item(), "optimizer.learning_rate")
        self.losses = ()
        if gradient_clip_val and gradient_clip_algorithm not in (None, "norm"):
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val:
            clip_grads_with_norm_(self.parameters(), gradient_clip_val, norm, foreach=True)
        # Kept until the batch's end, when the schedule has moved on to the next step.
        self.update = {"train/learning_rate": optimizer.param_groups[0]["lr"], "train/gradient_norm": norm}

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.outputs += (outputs,)
        if self.update is None:  # within a step
            return
        (update, self.update), (seen, self.outputs) = (self.update, None), (self.outputs, ())
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]  # Lightning sets it later; 0: never
        if not every or self.global_step % every:
            return
        values = {f"train/{name}": self._mean([each[name] for each in seen]) for name in outputs} | update
        values["train/loss"] *= self.trainer.accumulate_grad_batches  # Lightning has divided it
        self.log_dict({**values, "step": float(self.global_step)}, batch_size=1, sync_dist=True)

    def _mean(self, values: list[Tensor | float]) -> Tensor:
        """Average tensors and the plain numbers that callbacks add to the result of `training_step`."""
        plain: dict[str, Any] = {"dtype": torch.get_default_dtype(), "device": self.device}
        return torch.stack([v if isinstance(v, Tensor) else torch.tensor(v, **plain) for v in values]).mean()

    def on_validation_epoch_end(self) -> None:
        self._log_derived("val")
        if self.trainer.state.fn != TrainerFn.FITTING or self.trainer.sanity_checking:
            return
        self.log("step", float(self.global_step), sync_dist=True)
        (rule,) = self.trainer.lr_scheduler_configs
        if rule.reduce_on_plateau:
            assert rule.monitor
            if rule.monitor not in (logged := self.trainer.callback_metrics):
                what = f"optimizer.schedule.monitor={rule.monitor}: the validation logs no such metric"
                raise UserError(f"{what}; {nearest(rule.monitor, sorted(logged))}")
            rule.scheduler.step(logged[rule.monitor])  # type: ignore[arg-type]  # that of ReduceLROnPlateau

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the data module's baselines beside the net's."""
        self._log_derived("test")
        baselines: dict[str, float] = getattr(datamodule_of(self.trainer), "baselines", dict)()
        self.log_dict({f"test/{name}": value for name, value in baselines.items()}, sync_dist=True)

    def _log_derived(self, split: str) -> None:
        values = {f"{split}/{name}": value for name, value in self.derived_metrics(split).items()}
        self.log_dict(values, sync_dist=True, reduce_fx="max")  # the same on all ranks, to the last bit
