"""Parse the `key=value` arguments of commands by pydantic models, with errors of one line.

For commands that compose no configuration: conf/ has a schema of its own.
"""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import PydanticCustomError

from lightning_dl2.common.errors import UserError, nearest

# Where pydantic's own words would not help, by its type of error.
ALLOWED = {
    "bool_parsing": "true, false",
    "int_parsing": "an integer",
    "float_parsing": "a number",
    "string_unicode": "text in UTF-8",
}


def _not_empty(value: str) -> str:
    if not value:
        raise PydanticCustomError("missing", "is missing")
    return value


# Not pydantic's own str and Path, which refuse the name of a file that is not UTF-8.
Text = Annotated[str, PlainValidator(_not_empty)]
AnyPath = Annotated[Path, PlainValidator(lambda value: Path(_not_empty(str(value))))]
RunDirectory = Annotated[Text, Field(description="a run directory, which train printed")]


class Arguments(BaseModel):
    """Hold the arguments of a command. Each command has a subclass; its fields are the command's keys.

    A key without a default must be given. A key that is no Python name, such as data.path, is its field's alias.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)

    @classmethod
    def defaults(cls) -> dict[str, str]:
        """Map each key that has a default to that default as a user types it."""
        fields = {field.alias or name: field for name, field in cls.model_fields.items() if not field.is_required()}
        return {key: _typed(field.get_default(call_default_factory=True)) for key, field in fields.items()}

    def changed(self, *keys: str) -> dict[str, str]:
        """Map those of `keys` that exist and have another value than their default to that value."""
        defaults = {key: default for key, default in self.defaults().items() if key in keys}
        names = {field.alias or name: name for name, field in type(self).model_fields.items()}
        return {key: value for key in defaults if (value := _typed(getattr(self, names[key]))) != defaults[key]}

    def refuse(self, *keys: str, why: str) -> None:
        """Refuse keys that have no effect here, so that nobody believes they have.

        Raises:
            UserError: one of them has another value than its default.
        """
        for key, value in self.changed(*keys).items():
            raise UserError(f"{key}={value}: {why}")


A = TypeVar("A", bound=Arguments)


def parse(model: type[A], argv: Sequence[str]) -> A:
    """Read the arguments of a command; of a key that is given twice, the last value counts.

    Raises:
        UserError: an argument without `=`, an unknown key, a wrong value, or a key that is missing.
    """
    keys = [field.alias or name for name, field in model.model_fields.items()]
    values: dict[str, str] = {}
    for word in argv:
        key, equals, value = word.partition("=")
        if key not in keys:
            raise UserError(f"{word}: there is no key {key}; {nearest(key, keys)}")
        if not equals:
            raise UserError(f"{word}: is not of the form {key}=VALUE")
        values[key] = value
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _user_error(model, error, values) from error


def split_names(argv: Sequence[str], allowed: Collection[str]) -> tuple[list[str], list[str]]:
    """Separate names from `key=value` arguments; without a name, return all that are allowed.

    Raises:
        UserError: a name that is not allowed.
    """
    names = [word for word in argv if "=" not in word]
    for name in names:
        if name not in allowed:
            raise UserError(f"{name}: {nearest(name, list(allowed))}")
    return names or list(allowed), [word for word in argv if "=" in word]


def seconds(duration: str) -> int:
    """Convert DD:HH:MM:SS to seconds."""
    days, hours, minutes, rest = map(int, duration.split(":"))
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def whole(least: int = 0, most: int | None = None) -> PlainValidator:
    """Make the validator of a key whose value is a whole number from `least` to `most`."""
    return PlainValidator(lambda value: _whole(str(value), "whole numbers", least, most))


def wholes(least: int = 0) -> PlainValidator:
    """Make the validator of N[,N...], with or without brackets; the numbers come in order, each once."""

    def read(value: str | Sequence[int]) -> tuple[int, ...]:
        words = re.sub(r"^\[(.*)\]$", r"\1", _typed(value)).split(",")
        return tuple(sorted({_whole(word, "whole numbers N[,N...]", least, None) for word in words}))

    return PlainValidator(read)


def choices(allowed: Collection[str]) -> PlainValidator:
    """Make the validator of NAME[,NAME...], each of which must be allowed and counts once."""

    def read(value: str | Sequence[str]) -> tuple[str, ...]:
        words = dict.fromkeys(_typed(value).split(","))
        for word in words:
            if word not in allowed:
                raise ValueError(nearest(word, list(allowed)))
        return tuple(words)

    return PlainValidator(read)


def _whole(word: str, kind: str, least: int, most: int | None) -> int:
    # int() alone would also take "1_0", " 1" and digits of other scripts.
    number = int(word) if re.fullmatch("[0-9]{1,18}", word) else -1
    if number < least or (most is not None and number > most):
        limit = f"{least} or more" if most is None else f"{least} to {most}"
        raise ValueError(f"allowed: {kind}, {limit}")
    return number


def _typed(value: Any) -> str:
    """Write a value as a user types it."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _user_error(model: type[Arguments], error: ValidationError, values: dict[str, str]) -> UserError:
    """Say in one line which value pydantic found wrong first, and why."""
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")  # what a validator raised
    if isinstance(cause, UserError):
        return cause
    key, kind = str(first["loc"][0]), first["type"]
    if kind == "missing":
        (description,) = (field.description for name, field in model.model_fields.items() if key in (name, field.alias))
        return UserError(f"{key}=VALUE: is missing" + (f"; allowed: {description}" if description else ""))
    if cause:
        says = str(cause)
    elif kind == "literal_error":
        says = nearest(first["input"], re.findall("'(.*?)'", first["ctx"]["expected"]))
    else:
        says = f"allowed: {ALLOWED.get(kind) or first['msg'].removeprefix('Input should be ')}"
    return UserError(f"{key}={values[key]}: {says}")
