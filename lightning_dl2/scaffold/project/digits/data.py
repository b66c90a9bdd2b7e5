"""Digits of seven segments, drawn anew each time: a map-style dataset, and the data module that serves it.

Put your own data here. A resumed run gets the same items as one that never stopped: before each item is read,
`random`, NumPy and torch are seeded by (seed, epoch, index).
"""

import random
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

# The segments of each digit: top, upper left, upper right, middle, lower left, lower right, bottom.
SEGMENTS = (
    "1110111", "0010010", "1011101", "1011011", "0111010", "1101011", "1101111", "1010010", "1111111", "1111011",
)  # fmt: skip
HEIGHT, WIDTH = 12, 10


class Digits(Dataset[tuple[Tensor, Tensor]]):
    """Images of digits [HEIGHT, WIDTH], and their classes.

    Args:
        size: number of images.
        noise: standard deviation of the noise of each pixel; 0: every image of a digit is the same.
    """

    def __init__(self, size: int, noise: float) -> None:
        self.size, self.noise = size, noise

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        digit = index % 10
        image = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
        top, left = (random.randint(0, 2), random.randint(0, 4)) if self.noise else (1, 2)
        rows, columns = (top, top + 4, top + 8), (left, left + 4)
        on = [segment == "1" for segment in SEGMENTS[digit]]
        for number, row in zip((0, 3, 6), rows, strict=True):
            image[row, columns[0] : columns[1] + 1] = on[number]
        for number, (row, column) in zip((1, 2, 4, 5), ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True):
            if on[number]:
                image[rows[row] : rows[row + 1] + 1, columns[column]] = 1
        image += np.random.normal(0, 1, image.shape).astype(np.float32) * self.noise
        brightness = 1 - 0.5 * torch.rand(()) if self.noise else torch.ones(())
        return torch.from_numpy(image) * brightness, torch.tensor(digit)


class DigitsData(LightningDataModule):
    """Serve the digits.

    Args:
        batch_size: images in a batch of one process.
        size: images of an epoch.
        noise: standard deviation of the noise of each pixel.
        num_workers: processes that load images; changes speed and memory only.
    """

    num_classes = 10

    def __init__(
        self,
        batch_size: Annotated[int, Field(ge=1)] = 32,
        size: Annotated[int, Field(ge=10)] = 2000,
        noise: Annotated[float, Field(ge=0)] = 0.3,
        num_workers: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        super().__init__()
        self.batch_size, self.size, self.noise, self.num_workers = batch_size, size, noise, num_workers

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        return DataLoader(Digits(self.size, self.noise), self.batch_size, shuffle=True, num_workers=self.num_workers)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        return DataLoader(Digits(500, self.noise), 100)

    def test_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        return DataLoader(Digits(500, self.noise), 100)
