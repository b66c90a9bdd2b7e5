"""Keep in each checkpoint the data that it was trained on, where the task does not."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer


class RecordData(Callback):
    """Add `data_spec` to a checkpoint, so that a resume with other data is refused.

    The built-in tasks keep the `spec` of their data among the hyperparameters.

    Args:
        spec: of the data module: plain values.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if checkpoint.get("hyper_parameters", {}).get("spec") != self.spec:
            states = [state for state in checkpoint.get("optimizer_states", ()) if state]
            checkpoint["data_spec"], checkpoint["num_optimizers"] = self.spec, len(states)
