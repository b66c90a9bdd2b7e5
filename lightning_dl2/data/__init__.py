"""LightningDataModules. They import no model."""

from lightning_dl2.data.build import DataModule, build_data
from lightning_dl2.data.graphs.graph_set_data_module import GraphSetDataModule
from lightning_dl2.data.graphs.node_data_module import NodeDataModule
from lightning_dl2.data.sequences.module import SequenceDataModule
from lightning_dl2.data.text.module import TextDataModule

__all__ = ["DataModule", "GraphSetDataModule", "NodeDataModule", "SequenceDataModule", "TextDataModule", "build_data"]
