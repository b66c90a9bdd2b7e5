"""Train a LightningModule and data that a script or a notebook has made, without any configuration file."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.loggers import Logger

from lightning_dl2.common.dotted import path_of
from lightning_dl2.common.errors import UserError
from lightning_dl2.config.compose import compose
from lightning_dl2.config.conf_files import BLANK
from lightning_dl2.config.overrides import flatten, format_override
from lightning_dl2.config.schema import Config, OwnData, OwnTask
from lightning_dl2.resume.data.adapt import adapt
from lightning_dl2.training.session import Session
from lightning_dl2.training.start import train_session


def fit(
    task: LightningModule,
    data: Any = None,
    *,
    root: str = "runs",
    name: str | None = None,
    seed: int = 0,
    trainer: Mapping[str, Any] | None = None,
    callbacks: Iterable[Callback] = (),
    loggers: Iterable[Logger] = (),
    overrides: Iterable[str] = (),
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Train `task` on `data` in a run directory: start, resume where a former process stopped, or return the result.

        result, objects = lightning_dl2.fit(Net(hidden_size=32), PointsData(), root="runs", trainer={"max_steps": 500})

    The run directory is root/NAME/VARIANT-HASH/seed=SEED. The hash is of the hyperparameters that `task` and `data`
    have saved by `save_hyperparameters()`, and of the other arguments: another net gets another directory.

    Args:
        task: a LightningModule with its initial weights; a resume replaces them.
        data: a LightningDataModule, DataLoaders, or an object with `train_batch(step)`; None: the task has the
            loaders. See `lightning_dl2.resume.data.adapt.adapt`.
        root: directory of all runs.
        name: of the experiment; None: the name of the task's class. Needed where an object saves no hyperparameters.
        seed: of the order of the data, of their augmentation, and of the random numbers in each step.
        trainer: keys of conf/trainer/, such as {"max_steps": 500, "precision": "bf16-mixed"}.
        callbacks: callbacks of your own, beside those of the package; their states are kept in the checkpoints.
        loggers: loggers of your own, beside metrics.csv.
        overrides: further keys as on the command line, such as "logger=wandb" or "callbacks.checkpoint.monitor=null".

    Returns:
        The content of result.json, and the objects `run`, `task`, `datamodule`, `trainer`. The task has the weights of
        `best.ckpt`.

    Raises:
        UserError: an argument is wrong, or the run cannot be told from others.
        Interrupted: a signal or the time limit stopped the training; its state is saved.
    """
    if not isinstance(task, LightningModule):
        raise UserError(f"fit: task is a {type(task).__name__}; allowed: a pytorch_lightning.LightningModule")
    words = [f"++trainer.{key}={format_override(value)}" for key, value in flatten(dict(trainer or {})).items()]
    config = _config(task, data, root, name, seed, [*words, *overrides])
    session = Session.open(config, callbacks=tuple(callbacks), loggers=tuple(loggers))
    if session.devices.per_machine > session.group.world_size:
        raise UserError(
            f"trainer.devices={config.trainer.devices}: fit has the objects of this process alone; fix: start the"
            " script by torchrun, or write a configuration and use lightning_dl2.train"
        )

    def build() -> tuple[Any, LightningModule]:
        place = session.group.rank, session.group.world_size
        limit = config.trainer.limit_train_batches
        adapted = adapt(task if data is None else data, seed=seed, placed_at=place, limit_train_batches=limit)
        return adapted, task

    return train_session(session, build)


def _config(task: LightningModule, data: Any, root: str, name: str | None, seed: int, words: list[str]) -> Config:
    """Compose the configuration that describes the objects."""
    blank = compose(f"experiment={BLANK}", f"seed={seed}", *words)
    parts = {"task": _hyperparameters(task), "data": {} if data is None else _hyperparameters(data)}
    if lacking := [part for part, found in parts.items() if found is None and name is None]:
        kind = type(task if lacking[0] == "task" else data).__name__
        raise UserError(
            f"fit: {kind} has saved no plain hyperparameters, so its run cannot be told from others; fix: call"
            " self.save_hyperparameters() in its constructor, or give name=..."
        )
    values = {
        "experiment": name or type(task).__name__.lower(),
        "root": str(root),
        "task": OwnTask(path=path_of(type(task)), given=parts["task"] or {}),
        "data": OwnData(path=path_of(type(task if data is None else data)), given=parts["data"] or {}),
    }
    return blank.model_copy(update=values)


def _hyperparameters(owner: Any) -> dict[str, Any] | None:
    """Return the saved hyperparameters as plain values; None: there are none, or they are not plain."""
    try:
        values: dict[str, Any] = json.loads(json.dumps(dict(getattr(owner, "hparams", {})), allow_nan=False))
        return values or None
    except (TypeError, ValueError):
        return None
