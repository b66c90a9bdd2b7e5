"""Find the schema of a run's data and task: a built-in one by its name, or a class of the user's own."""

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.component import check_component, is_component
from lightning_dl2.config.messages import describe_schema_error
from lightning_dl2.config.overrides import format_override
from lightning_dl2.config.schema.component import TARGET, Component, DataSchema, OwnData, OwnTask

BUILT_IN = "lightning_dl2.builtin"  # the only thing that this package knows of the built-in data and tasks
GROUPS: dict[str, type[OwnData] | type[OwnTask]] = {"data": OwnData, "task": OwnTask}


def find_components(values: Mapping[str, Any], *, recorded: bool = False) -> dict[str, Any]:
    """Check the parts of a configuration that name a component; map data and task to their schemas.

    Callbacks and loggers of the user's own stay plain values, with the defaults of their constructors.

    Args:
        recorded: take the arguments of own components as they are; nothing is imported.

    Raises:
        UserError: a group is wrong, or data and task do not go together.
    """
    _check_pair(values)
    found: dict[str, Any] = {group: _find(group, values[group], recorded) for group in GROUPS if group in values}
    for group in () if recorded else ("callbacks", "logger"):
        inner = values.get(group)
        own = {name: each for name, each in inner.items() if is_component(each)} if isinstance(inner, Mapping) else {}
        if own:
            checked = {name: check_component(f"{group}.{name}", each) for name, each in own.items()}
            found[group] = {**values[group], **checked}
    return found


def _schema(group: str, values: Any) -> type[Component] | None:
    """Return the schema of a built-in component; None: the values name none."""
    name = values.get("name") if isinstance(values, Mapping) and not is_component(values) else None
    return import_module(BUILT_IN).find_schema(group, name) if isinstance(name, str) else None


def _check_pair(values: Mapping[str, Any]) -> None:
    """Check the pair first: otherwise the error would name a key that the user never set."""
    data, task = (_schema(group, values.get(group)) for group in GROUPS)
    wanted = data.task_for(values["data"]) if data and issubclass(data, DataSchema) else None
    if task and wanted and (name := values["task"]["name"]) != wanted:
        raise UserError(f"task={name}: allowed with data={values['data']['name']}: task={wanted}")


def _find(group: str, values: Any, recorded: bool) -> Component:
    if isinstance(values, Component):
        return values
    if is_component(values):
        checked = dict(values) if recorded else check_component(group, values)
        return GROUPS[group](path=checked.pop(TARGET), given=checked)
    if not isinstance(values, Mapping):
        raise UserError(f"{group}={format_override(values)}: allowed: a group of keys")
    schema = _schema(group, values)
    if schema is None:
        if "name" not in values:
            raise UserError(f"{group}.name: is missing")
        names = ", ".join(f"'{name}'" for name in import_module(BUILT_IN).SCHEMAS[group])
        shown = json.dumps(values["name"], ensure_ascii=False)
        raise UserError(f"{group}.name={shown}: allowed: {names}, or {group}.{TARGET}=PATH")
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise UserError(describe_schema_error(error, {group: values}, (group,))) from error
