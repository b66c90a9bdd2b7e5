"""Define types and limits of the configuration: one file for each group of conf/, and `run` for all of them.

The room imports neither torch nor Hydra, so that a wrong value is reported at once. The YAML files under conf/ state
unit and consequence of each value.
"""

from lightning_dl2.config.schema.callbacks import Callbacks, Samples, mode_of
from lightning_dl2.config.schema.data import (
    GRAPH_SETS,
    MINIMUM_LENGTH,
    NODE_SETS,
    PLANETOID,
    TEXTS,
    Data,
    GraphSetData,
    NodeData,
    OwnSequenceData,
    SequenceData,
    TextData,
)
from lightning_dl2.config.schema.logger import Logger
from lightning_dl2.config.schema.optimizer import Optimizer, Schedule
from lightning_dl2.config.schema.run import FITTING_TASK, HELD_OUT, TASKS, Config, test_split
from lightning_dl2.config.schema.sweep import Grid, Local, Multirun, Ray, Search, Submitit
from lightning_dl2.config.schema.task import GraphNet, SequenceClassifier, Task, TextGenerator
from lightning_dl2.config.schema.trainer import Trainer
