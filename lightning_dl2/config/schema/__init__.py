"""Define types and limits of the configuration: one file for each group of conf/, and `run` for all of them.

The room imports neither torch nor Hydra, so that a wrong value is reported at once. It knows no data and no task:
`component` says what it asks of them. The YAML files under conf/ state unit and consequence of each value.
"""

from lightning_dl2.config.schema.callbacks import Callbacks, Samples
from lightning_dl2.config.schema.component import HELD_OUT, DataSchema, Demand, OwnData, OwnTask, TaskSchema
from lightning_dl2.config.schema.logger import Logger
from lightning_dl2.config.schema.optimizer import Optimizer, Schedule
from lightning_dl2.config.schema.run import Config
from lightning_dl2.config.schema.sweep import Grid, Local, Multirun, Ray, Search, Submitit
from lightning_dl2.config.schema.trainer import Trainer
