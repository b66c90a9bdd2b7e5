"""A net that reads an image row by row: a LightningModule as it would be written for any Trainer.

The constructor is the schema of the configuration: `task.hidden_size=64` on the command line is checked against it.
"""

from typing import Annotated

import torch
from pydantic import Field
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional as F


class Net(LightningModule):
    """Classify images by a GRU over their rows.

    Args:
        width: pixels of a row.
        num_classes: number of classes.
        hidden_size: units of the GRU.
        dropout: probability that a unit is dropped before the output layer.
        learning_rate: of Adam.
    """

    def __init__(
        self,
        width: int = 10,
        num_classes: int = 10,
        hidden_size: Annotated[int, Field(ge=1)] = 32,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        learning_rate: Annotated[float, Field(gt=0)] = 5e-3,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.gru = nn.GRU(width, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, num_classes)
        self.learning_rate = learning_rate

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, rows, width] to logits [B, num_classes]."""
        states, _ = self.gru(images)
        logits: Tensor = self.output(self.dropout(states[:, -1]))
        return logits

    def _loss(self, batch: tuple[Tensor, Tensor], split: str) -> Tensor:
        images, labels = batch
        logits = self(images)
        loss = F.cross_entropy(logits, labels)
        values = {f"{split}/loss": loss, f"{split}/accuracy": (logits.argmax(-1) == labels).float().mean()}
        self.log_dict(values, sync_dist=split != "train", batch_size=len(labels))
        return loss

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return self._loss(batch, "train")

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._loss(batch, "val")

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._loss(batch, "test")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)
