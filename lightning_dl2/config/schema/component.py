"""Define what the rest of the package asks of data and of a task, whoever wrote them.

A class of the user's own enters as `_target_: package.module.Class`, beside the arguments of its constructor. The
built-in ones are chosen by `name`; their schemas, in `lightning_dl2.builtin`, answer more of the questions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import model_serializer

from lightning_dl2.common.dotted import find_callable
from lightning_dl2.common.errors import UserError
from lightning_dl2.config.schema.base import Strict

if TYPE_CHECKING:
    from lightning_dl2.config.schema.effect_rules import Rule
    from lightning_dl2.config.schema.run import Config

TARGET = "_target_"  # the key of a dotted path, as Hydra calls it
HELD_OUT = "held out"
Mode = Literal["min", "max"]


@dataclass(frozen=True)
class Demand:
    """Memory that a run needs at least."""

    what: str  # such as "a training batch"
    keys: str  # of the configuration that decide it, separated by spaces
    size: float  # bytes


class Component(Strict):
    """Base of the schemas of data and tasks. The answers here are those for a class that says nothing of itself."""

    group: ClassVar[str]

    @property
    def class_path(self) -> str:
        """Return the dotted path of the class, or of the function that returns an object."""
        raise NotImplementedError

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the plain arguments of the constructor."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """Return a short name for tables and messages."""
        raise NotImplementedError

    def effect_rules(self) -> tuple["Rule", ...]:
        """Return the rules for keys that have an effect only together with others."""
        return ()

    def check(self, config: "Config") -> None:
        """Raise ValueError, `key=value: ...`, where the component does not fit the rest of the configuration."""

    def check_machine(self, on_gpu: bool) -> None:
        """Raise UserError where this machine lacks what the component needs."""


class DataSchema(Component):
    """Base of the schemas of data."""

    group: ClassVar[str] = "data"
    fitting_task: ClassVar[str | None] = None  # the only task for these data; None: any

    @classmethod
    def task_for(cls, values: Mapping[str, Any]) -> str | None:
        """Name the only task for these data, whose keys have `values`; None: any."""
        return cls.fitting_task

    @property
    def test_split(self) -> str:
        """Say what the test is measured on."""
        return "the test set of the data module"

    @property
    def batches_in_epoch(self) -> int | None:
        """Count the training batches of an epoch; None: unknown before the data are read."""
        return None

    @property
    def sources(self) -> list[str]:
        """Return the paths that the user named; empty where the data are generated or downloaded."""
        return []

    @property
    def is_generated(self) -> bool:
        """Tell whether the data are in no file."""
        return False

    def quick_digest(self) -> str | None:
        """Hash the sources as the data module's spec does, without building it; None: that needs the data module."""
        return None

    def check_sources(self) -> None:
        """Raise UserError if the sources are no files of the right kind; nothing is read."""

    def at(self, path: Any) -> Self:
        """Return these data with another path.

        Raises:
            UserError: they have no path.
        """
        raise UserError(f"data.path={path}: the run's data={self.title} has no path; allowed: no data.path")

    def demands(self, config: "Config", on_gpu: bool) -> Iterator[Demand]:
        """Yield what the data, and one batch of them, take at least.

        Args:
            on_gpu: whether the batches are on a GPU, which has a memory of its own.
        """
        yield from ()


class TaskSchema(Component):
    """Base of the schemas of tasks."""

    group: ClassVar[str] = "task"
    commands: ClassVar[tuple[str, ...]] = ()  # beside evaluate: generate, predict

    def metrics(self, data: DataSchema) -> dict[str, Mode] | None:
        """Map each metric of a validation on `data` to the direction in which it improves; None: unknown."""
        return None

    def how_to_log(self, metric: str, data: DataSchema) -> str | None:
        """Return the `key=value` with which a validation on `data` logs a metric; None: it cannot, or nobody knows."""
        return None

    def refuses(self, callback: str) -> str | None:
        """Say why a callback of conf/callbacks/ does not fit this task; None: it does, or nobody knows."""
        return None

    def demands(self, config: "Config", spec: dict[str, Any], on_gpu: bool) -> Iterator[Demand]:
        """Yield what the net, its gradients and its batches take at least.

        Args:
            spec: of the data module.
        """
        yield from ()


class _Own(Component):
    """A class of the user's own, with the arguments of its constructor."""

    path: str
    given: dict[str, Any]

    @property
    def class_path(self) -> str:
        return self.path

    @property
    def arguments(self) -> dict[str, Any]:
        return self.given

    @property
    def title(self) -> str:
        return self.path.rpartition(".")[2]

    @model_serializer
    def _plain(self) -> dict[str, Any]:
        return {TARGET: self.path, **self.given}


class OwnData(_Own, DataSchema):
    """Data of the user's own."""

    @property
    def sources(self) -> list[str]:
        path = self.given.get("path")
        return [path] if isinstance(path, str) else []

    def at(self, path: Any) -> Self:
        if "path" not in self.given:
            return super().at(path)
        return self.model_copy(update={"given": self.given | {"path": path}})


class OwnTask(_Own, TaskSchema):
    """A task of the user's own."""

    def effect_rules(self) -> tuple["Rule", ...]:
        """Return the rule that a task which makes its own optimisers takes none from the configuration."""
        from lightning_dl2.config.component import takes
        from lightning_dl2.config.schema.effect_rules import Rule
        from lightning_dl2.config.schema.optimizer import Optimizer

        if takes(find_callable(self.path), "optimizer"):
            return ()
        keys = " ".join([*(name for name in Optimizer.model_fields if name != "schedule"), "schedule.*"])
        why, fix = f"task={self.path} (which makes its own optimisers)", "the arguments of the task"
        return (Rule(Optimizer, keys, lambda config: False, why, fix),)
