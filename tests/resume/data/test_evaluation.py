"""Test that an evaluation of a user's data is the same each time, also what it draws on a GPU."""

import pytest
import torch
from pytorch_lightning.demos.boring_classes import BoringModel, RandomDataset, RandomIterableDataset
from torch.utils.data import DataLoader

from lightning_dl2.resume.data import adapt
from tests.pretended_device import pretended_cuda
from tests.small import small_trainer


@pytest.mark.parametrize("kind", [RandomDataset, RandomIterableDataset])
def test_each_batch_of_an_evaluation_seeds_the_generator_of_the_gpu(kind, monkeypatch):
    seeds = []
    with pretended_cuda():
        monkeypatch.setattr(torch.cuda, "manual_seed", seeds.append)
        data = adapt(DataLoader(kind(32, 3)), seed=0, val=DataLoader(kind(32, 3)))
        for _ in range(2):
            small_trainer(accelerator="gpu", devices=1).validate(BoringModel(), data, verbose=False)
    assert len(set(seeds)) == 3 and seeds[:3] == seeds[3:]
