"""LightningDataModules. They know nothing of the models."""

from lightning_dl2 import schema
from lightning_dl2.data.sequences import SequenceDataModule
from lightning_dl2.data.text import TextDataModule

DataModule = SequenceDataModule | TextDataModule

__all__ = ["DataModule", "SequenceDataModule", "TextDataModule", "build_data"]


def build_data(config: schema.SequenceData | schema.TextData, seed: int) -> DataModule:
    """The data module that `config` names.

    Raises:
        UserError: a text cannot be had, is no text, or is too short for these windows.
    """
    cls = TextDataModule if isinstance(config, schema.TextData) else SequenceDataModule
    return cls(**config.model_dump(), seed=seed)
