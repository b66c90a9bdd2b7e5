"""Build the data module that a configuration names."""

from lightning_dl2.config import schema
from lightning_dl2.data.graphs.graph_set_data_module import GraphSetDataModule
from lightning_dl2.data.graphs.node_data_module import NodeDataModule
from lightning_dl2.data.sequences.module import SequenceDataModule
from lightning_dl2.data.text.module import TextDataModule

DataModule = SequenceDataModule | TextDataModule | NodeDataModule | GraphSetDataModule
MODULES = {
    schema.SequenceData: SequenceDataModule,
    schema.TextData: TextDataModule,
    schema.NodeData: NodeDataModule,
    schema.GraphSetData: GraphSetDataModule,
}


def build_data(config: schema.Data, seed: int) -> DataModule:
    """The data module that `config` names.

    Raises:
        UserError: a file cannot be had, is damaged, or is too short for what is asked of it.
    """
    return MODULES[type(config)](**config.model_dump(), seed=seed)
