"""Types and limits of the configuration, one file a group of conf/; whole runs in `run`.

Imports neither torch nor Hydra, so that a mistake is told at once. Units and consequences of each value stand in the
YAML files under conf/.
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
    SequenceData,
    TextData,
)
from lightning_dl2.config.schema.logger import Logger
from lightning_dl2.config.schema.optimizer import Optimizer, Schedule
from lightning_dl2.config.schema.run import FITTING_TASK, HELD_OUT, TASKS, Config, test_split
from lightning_dl2.config.schema.sweep import Grid, Local, Multirun, Ray, Search, Submitit
from lightning_dl2.config.schema.task import GraphNet, SequenceClassifier, Task, TextGenerator
from lightning_dl2.config.schema.trainer import Trainer
