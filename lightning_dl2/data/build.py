"""Build the data module of a configuration."""

from typing import Any

from lightning_dl2.common.dotted import find_callable
from lightning_dl2.config.component import instantiate
from lightning_dl2.config.schema import DataSchema, OwnData
from lightning_dl2.config.schema.component import TARGET


def build_data(config: DataSchema, seed: int) -> Any:
    """Build the data module that `config` names, with the interface of `resume.train_batches.StepData`.

    Raises:
        UserError: a file is missing, damaged, or too short for these settings.
    """
    if isinstance(config, OwnData):
        return instantiate("data", {TARGET: config.target, **config.arguments}, seed=seed)
    return find_callable(config.target)(**config.arguments, seed=seed)
