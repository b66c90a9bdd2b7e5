"""Define what the schemas of the built-in data and tasks share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Self

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.schema.component import HELD_OUT, Component, DataSchema, Demand

if TYPE_CHECKING:
    from lightning_dl2.config.schema.effect_rules import Rule
    from lightning_dl2.config.schema.run import Config


class BuiltIn(Component):
    """Base of the schemas of what is built in: `module` is the dotted path of the class, `name` its short name."""

    module: ClassVar[str]
    name: str

    @property
    def class_path(self) -> str:
        return self.module

    @property
    def title(self) -> str:
        return self.name


class BuiltInData(BuiltIn, DataSchema):
    """Base of the schemas of the built-in data."""

    @property
    def arguments(self) -> dict[str, Any]:
        return self.model_dump()

    @property
    def test_split(self) -> str:
        return HELD_OUT

    @property
    def sources(self) -> list[str]:
        path = None if self.is_generated else getattr(self, "path", None)
        return [] if path is None else [path]

    @property
    def is_generated(self) -> bool:
        return not hasattr(self, "path")

    def check_sources(self) -> None:
        from lightning_dl2.builtin.data_path import check_data_path

        if hasattr(self, "path"):
            check_data_path(self.name, self.path, getattr(self, "splits", "position"))

    def at(self, path: Any) -> Self:
        if self.is_generated:
            raise UserError(f"data.path={path}: the run's data={self.name} is generated; allowed: no data.path")
        return self.model_copy(update={"path": path})

    def effect_rules(self) -> "tuple[Rule, ...]":
        from lightning_dl2.builtin.effect_rules import DATA

        return DATA

    def demands(self, config: "Config", on_gpu: bool) -> Iterator[Demand]:
        from lightning_dl2.builtin.memory import batch_demands, data_demands

        yield from data_demands(config)
        if not on_gpu:
            yield from batch_demands(config)
