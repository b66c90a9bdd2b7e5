"""Build the data module that a configuration names."""

from lightning_dl2.config import schema
from lightning_dl2.data.graphs.graph_set_data_module import GraphSetDataModule
from lightning_dl2.data.graphs.node_data_module import NodeDataModule
from lightning_dl2.data.sequences.module import SequenceDataModule
from lightning_dl2.data.text.module import TextDataModule

DataModule = SequenceDataModule | TextDataModule | NodeDataModule | GraphSetDataModule
MODULES = {
    schema.SequenceData: SequenceDataModule,
    schema.OwnSequenceData: SequenceDataModule,
    schema.TextData: TextDataModule,
    schema.NodeData: NodeDataModule,
    schema.GraphSetData: GraphSetDataModule,
}


def build_data(config: schema.Data, seed: int) -> DataModule:
    """Build the data module that `config` names.

    Raises:
        UserError: a file is missing, damaged, or too short for these settings.
    """
    return MODULES[type(config)](**config.model_dump(), seed=seed)
