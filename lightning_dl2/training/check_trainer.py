"""Check, before a run begins, the strategy, the plugins and the further arguments of Lightning's Trainer."""

import inspect
from typing import Any

from lightning_dl2.common.dotted import find_callable, is_dotted
from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.config.overrides import format_override
from lightning_dl2.config.schema import Trainer
from lightning_dl2.config.schema.trainer import OWNED

ORDINARY = ("auto", "ddp")  # strategies of which nothing need be asked
SHARDED = ("fsdp", "deepspeed")
OWN_PROCESSES = ("spawn", "fork", "notebook")
ONE_FILE = "splits the state of a run over its ranks, but a checkpoint of this package is one whole file"


def check_trainer(keys: Trainer, on_gpu: bool) -> None:
    """Raise UserError for what Lightning does not know or take, and for what would break the promises of a run.

    Args:
        keys: the group `trainer` of a configuration.
        on_gpu: whether the run computes on a GPU.
    """
    if keys.strategy not in ORDINARY:
        _check_strategy(keys.strategy)
    plugins = [_plugin(name) for name in keys.plugins]
    if keys.arguments or plugins:
        _check_types(keys.arguments)
        if keys.arguments.get("sync_batchnorm") and not on_gpu:
            raise UserError("trainer.arguments.sync_batchnorm=true: needs a GPU; allowed on a CPU: false")
        _build(keys, plugins)


def _check_strategy(name: str) -> None:
    from pytorch_lightning.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy, Strategy
    from pytorch_lightning.strategies import StrategyRegistry as known

    if is_dotted(name):
        try:
            found = find_callable(name)
        except UserError as error:
            raise UserError(f"trainer.strategy={name}: {error}") from error
        if not (inspect.isclass(found) and issubclass(found, Strategy)):
            raise UserError(f"trainer.strategy={name}: allowed: a class of pytorch_lightning.strategies.Strategy")
        if issubclass(found, (DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy)):
            raise UserError(f"trainer.strategy={name}: {ONE_FILE}; fix: use trainer.strategy=ddp")
        _call(f"trainer.strategy={name}", found)
        return
    words = name.split("_")
    works = [each for each in sorted(known) if each.startswith("ddp") and not {*OWN_PROCESSES} & {*each.split("_")}]
    if name not in known:
        raise UserError(f"trainer.strategy={name}: {nearest(name, ['auto', *works])}, or a dotted path")
    if words[0] in SHARDED:
        raise UserError(f"trainer.strategy={name}: {ONE_FILE}; fix: use trainer.strategy=ddp, or a Trainer of your own")
    if {*words} & {*OWN_PROCESSES}:
        instead = "_".join(word for word in words if word not in OWN_PROCESSES)
        what = "would start processes of its own, but the ranks of a run run already"
        raise UserError(f"trainer.strategy={name}: {what}; fix: use trainer.strategy={instead}")
    if name not in works:
        raise UserError(f"trainer.strategy={name}: allowed: auto, {', '.join(works)}, or a dotted path")


def _plugin(name: str) -> Any:
    from pytorch_lightning.plugins import CheckpointIO, ClusterEnvironment

    key = f"trainer.plugins=[{name}]"
    try:
        plugin = _call(key, find_callable(name))
    except UserError as error:
        raise UserError(str(error) if str(error).startswith(key) else f"{key}: {error}") from error
    if isinstance(plugin, (CheckpointIO, ClusterEnvironment)):
        kind = "writes the checkpoints" if isinstance(plugin, CheckpointIO) else "starts the ranks"
        raise UserError(f"{key}: the package itself {kind}; allowed: plugins of the kinds Precision and LayerSync")
    return plugin


def _call(key: str, cls: Any) -> Any:
    try:
        return cls()
    except Exception as error:  # a class of the user's own may raise anything
        raise UserError(f"{key}: {type(error).__name__}: {_first_line(error)}; fix: correct it there") from error


def _check_types(arguments: dict[str, Any]) -> None:
    """Compare each argument with the annotation of Lightning's Trainer, which takes many wrong values in silence."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError
    from pytorch_lightning import Trainer as LightningTrainer

    known = dict(inspect.signature(LightningTrainer.__init__).parameters)
    free = sorted(known.keys() - {"self", *Trainer.model_fields, *OWNED})
    for name, value in arguments.items():
        key = f"trainer.arguments.{name}={format_override(value)}"
        if name not in free:
            raise UserError(f"{key}: pytorch_lightning.Trainer has no argument {name}; {nearest(name, free)}")
        try:
            config = ConfigDict(arbitrary_types_allowed=True, strict=True)
            TypeAdapter(known[name].annotation, config=config).validate_python(value)
        except ValidationError as error:
            allowed = dict.fromkeys(each["msg"].removeprefix("Input should be ") for each in error.errors())
            raise UserError(f"{key}: allowed: {' or '.join(allowed)}") from error


def _build(keys: Trainer, plugins: list[Any]) -> None:
    """Build a Trainer with the plugins and arguments alone, which refuses those that it cannot use."""
    from pytorch_lightning import Trainer as LightningTrainer
    from pytorch_lightning.plugins import Precision

    from lightning_dl2.run.log import logging_to

    if any(isinstance(plugin, Precision) for plugin in plugins) and keys.precision != 32:
        raise UserError(f"trainer.precision={keys.precision}: trainer.plugins has another; allowed: 32")
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    try:
        with logging_to(None):
            LightningTrainer(accelerator="cpu", devices=1, plugins=plugins, **{**quiet, **keys.arguments})  # type: ignore[arg-type]
    except Exception as error:  # Lightning's errors have many types
        shown = f"trainer.plugins=[{','.join(keys.plugins)}]" if plugins else "trainer.arguments"
        shown += f"={format_override(keys.arguments)}" if not plugins else ""
        raise UserError(f"{shown}: {_first_line(error)}; fix: choose others") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
