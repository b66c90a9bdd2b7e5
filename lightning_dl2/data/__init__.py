"""LightningDataModules. They import no model."""

from lightning_dl2.data.build import build_data as build_data
from lightning_dl2.data.graphs.graph_set_data_module import GraphSetDataModule as GraphSetDataModule
from lightning_dl2.data.graphs.links import EdgeDataModule as EdgeDataModule
from lightning_dl2.data.graphs.links import LinkDataModule as LinkDataModule
from lightning_dl2.data.graphs.node_data_module import NodeDataModule as NodeDataModule
from lightning_dl2.data.sequences.labelled import LabelledSequenceDataModule as LabelledSequenceDataModule
from lightning_dl2.data.sequences.module import SequenceDataModule as SequenceDataModule
from lightning_dl2.data.sequences.sequence_task import SequenceTask as SequenceTask
from lightning_dl2.data.text.module import TextDataModule as TextDataModule
