"""Build the data module of a configuration."""

from typing import Any

from lightning_dl2.common.dotted import find_callable, parameters_of
from lightning_dl2.config.component import instantiate
from lightning_dl2.config.schema import DataSchema, OwnData
from lightning_dl2.config.schema.component import TARGET
from lightning_dl2.resume.data.adapt import adapt
from lightning_dl2.resume.data.data_module import ExactDataModule
from lightning_dl2.resume.random_numbers import isolated


def build_data(
    config: DataSchema,
    seed: int,
    placed_at: tuple[int, int] = (0, 1),
    limit_train_batches: int | None = None,
    for_run: dict[str, Any] | None = None,
) -> Any:
    """Build the data module that `config` names, with the interface of `resume.train_batches.StepData`.

    Args:
        seed: of the order of training; given to a constructor that takes it.
        placed_at: rank and number of ranks.
        limit_train_batches: the Trainer's, for data without a length.
        for_run: spec of the data of a run whose net is to predict; data with such an argument may then be others.

    Raises:
        UserError: a file is missing, damaged, or too short for these settings.
    """
    if not isinstance(config, OwnData):
        kind = find_callable(config.class_path)
        more = {"for_run": for_run} if for_run is not None and "for_run" in parameters_of(kind) else {}
        return kind(**config.arguments, seed=seed, **more)
    with isolated(seed, "data module"):  # one that draws in its constructor has the same data on all ranks and resumes
        found = instantiate("data", {TARGET: config.class_path, **config.arguments}, seed=seed)
    return adapt(found, seed=seed, placed_at=placed_at, limit_train_batches=limit_train_batches)


def prepare_own(data: Any) -> None:
    """Call `prepare_data` of a data module of the user's own, once, before any rank sets its data up."""
    if isinstance(data, ExactDataModule):
        data.prepare_data()
