"""LightningDataModules. They know nothing of the models."""

from lightning_dl2 import schema
from lightning_dl2.data.graphs import GraphSetDataModule, NodeDataModule
from lightning_dl2.data.sequences import SequenceDataModule
from lightning_dl2.data.text import TextDataModule

DataModule = SequenceDataModule | TextDataModule | NodeDataModule | GraphSetDataModule
MODULES = {
    schema.SequenceData: SequenceDataModule,
    schema.TextData: TextDataModule,
    schema.NodeData: NodeDataModule,
    schema.GraphSetData: GraphSetDataModule,
}

__all__ = [
    "DataModule",
    "GraphSetDataModule",
    "NodeDataModule",
    "SequenceDataModule",
    "TextDataModule",
    "build_data",
]


def build_data(config: schema.Data, seed: int) -> DataModule:
    """The data module that `config` names.

    Raises:
        UserError: a file cannot be had, is damaged, or is too short for what is asked of it.
    """
    return MODULES[type(config)](**config.model_dump(), seed=seed)
