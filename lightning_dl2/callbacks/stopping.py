"""Stop training early: the task is solved, or the metric no longer improves."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.trainer.states import TrainerFn

from lightning_dl2.resume.requirements import monitored, validation_metrics


class StopWhenSolved(Callback):
    """Stop after `times` validations in a row at or beyond a threshold.

    Args:
        monitor: a logged metric of the validation.
        mode: max: the task is solved at or above the threshold; min: at or below it.
        threshold: a value of the metric.
        times: number of validations in a row; `solved_at` is the step of the first.
    """

    def __init__(self, monitor: str, *, threshold: float, times: int, mode: str = "max") -> None:
        self.monitor, self.threshold, self.times, self.mode = monitor, threshold, times, mode
        self.in_a_row, self.first_step = 0, 0

    @property
    def solved_at(self) -> int | None:
        """Return the step of the first of the validations in a row, once they are enough."""
        return self.first_step if self.in_a_row >= self.times else None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.solved_at is not None:  # an earlier process ended between the last step and the result
            trainer.should_stop = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        value = monitored(self, validation_metrics(trainer), self.monitor)
        if not (value <= self.threshold if self.mode == "min" else value >= self.threshold):  # also where it is NaN
            self.in_a_row = 0
            return
        if self.in_a_row == 0:
            self.first_step = trainer.global_step
        self.in_a_row += 1
        trainer.should_stop |= self.in_a_row >= self.times

    def state_dict(self) -> dict[str, Any]:
        return {"in_a_row": self.in_a_row, "first_step": self.first_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.in_a_row, self.first_step = state_dict["in_a_row"], state_dict["first_step"]


class StopWhenStalled(EarlyStopping):
    """Stop as Lightning's EarlyStopping does, and stay stopped after a resume.

    NaN or infinity is no improvement, and no reason to stop at once.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["check_finite"] = False
        super().__init__(*args, **kwargs)

    def _validate_condition_metric(self, logs: dict[str, Any]) -> bool:
        """Raise the line of `monitored` where the validation has not logged the metric."""
        monitored(self, logs, str(self.monitor))
        return True

    @property
    def stalled(self) -> bool:
        return self.wait_count >= self.patience

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop |= self.stalled
