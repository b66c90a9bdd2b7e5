"""LightningDataModules. They know nothing of the models."""

from pytorch_lightning import LightningDataModule

from lightning_dl2.data.sequences import SequenceDataModule
from lightning_dl2.schema import SequenceData

__all__ = ["SequenceDataModule", "build_data"]


def build_data(config: SequenceData, seed: int) -> LightningDataModule:
    """The data module that `config` names."""
    return SequenceDataModule(**config.model_dump(), seed=seed)
