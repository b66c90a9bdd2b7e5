"""The built-in data and tasks by their short names, as the rest of the package looks them up.

The package imports no torch, so that a wrong value is reported at once. `tests/test_names.py` holds the schemas equal
to the constructors. A stranger's data and tasks need no entry here: their constructors are their schemas.
"""

from typing import get_args

from lightning_dl2.builtin.base import BuiltInData
from lightning_dl2.builtin.graph_data import GraphSetData, NodeData
from lightning_dl2.builtin.sequence_data import (
    MarkedSequenceData,
    RegressionSequenceData,
    SequenceData,
    VectorSequenceData,
    own_sequence_data,
)
from lightning_dl2.builtin.sequence_file import MNIST1DData, SequenceFileData
from lightning_dl2.builtin.task import (
    BuiltInTask,
    GraphNet,
    SequenceClassifier,
    SequenceRegressor,
    SequenceTransducer,
    TextGenerator,
)
from lightning_dl2.builtin.text_data import TextData
from lightning_dl2.common.dotted import is_dotted
from lightning_dl2.config.schema.component import Component

GENERATED = (SequenceData, VectorSequenceData, MarkedSequenceData, RegressionSequenceData)
DATA: dict[str, type[BuiltInData]] = {
    name: kind
    for kind in (*GENERATED, SequenceFileData, MNIST1DData, TextData, NodeData, GraphSetData)
    for name in get_args(kind.model_fields["name"].annotation)
}
TASKS: dict[str, type[BuiltInTask]] = {
    get_args(kind.model_fields["name"].annotation)[0]: kind
    for kind in (SequenceClassifier, SequenceTransducer, SequenceRegressor, TextGenerator, GraphNet)
}
SCHEMAS: dict[str, dict[str, type[Component]]] = {"data": {**DATA}, "task": {**TASKS}}  # by group, then by name


def find_schema(group: str, name: str) -> type[Component] | None:
    """Return the schema of a short name, or of a name that is the dotted path of a part; None: there is none."""
    if group == "data" and is_dotted(name):  # a sequence task: the other data have no part of the user's own
        return own_sequence_data(name)
    return SCHEMAS[group].get(name)
