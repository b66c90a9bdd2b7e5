"""A callback of this project. Its state is in the checkpoints, so a resumed run counts on."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer


class CountItems(Callback):
    """Count the images that were trained on, and log the number.

    Args:
        name: of the logged value.
    """

    def __init__(self, name: str = "train/items") -> None:
        self.name, self.items = name, 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.items += len(batch[1])
        pl_module.log(self.name, float(self.items))

    def state_dict(self) -> dict[str, Any]:
        return {"items": self.items}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.items = state_dict["items"]
