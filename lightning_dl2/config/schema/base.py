"""Define the types and limits that several groups share."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationInfo
from pydantic_core import PydanticCustomError, core_schema

from lightning_dl2.common.dotted import find_callable, is_dotted
from lightning_dl2.common.errors import UserError, nearest

MOST = 2**31 - 1  # of counts: larger ones are typing errors
Positive = Annotated[int, Field(ge=1, le=MOST)]
Natural = Annotated[int, Field(ge=0, le=MOST)]
Workers = Annotated[int, Field(ge=0, le=256)]  # processes of a data loader
Layers = Annotated[int, Field(ge=1, le=10_000)]
Rate = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
DURATION, FILE_NAME = r"^\d+:\d\d:\d\d:\d\d$", r"^\w[\w.-]*$"
PATTERNS = {
    DURATION: "DD:HH:MM:SS",
    FILE_NAME: "letters, digits, _, - and ., the first neither - nor .",
}  # for messages
_as_text = BeforeValidator(
    lambda value: value if value is None else str(value)
)  # so that 5 gets the same message as 5m
Duration = Annotated[str, Field(pattern=DURATION), _as_text]
Name = Annotated[str, Field(pattern=FILE_NAME)]
# A value of a user's own argument. Lists of numbers are of floats, in the first versions as today.
Plain = Annotated[bool | int | float | str | None | list[float] | JsonValue, Field(union_mode="left_to_right")]

OWN = "own_part"  # pydantic's type of an error whose message says all but the key and its value


@dataclass(frozen=True)
class Part:
    """Mark a key that names a part: `cell: Annotated[str, Part("rnn", "lstm")]`.

    A short name is one that is built in. A dotted path names a class or a function of the user's own, which is imported
    when the configuration is checked. Where the key may hold a mapping, `_target_` is that path, and the other keys are
    arguments of the class; those that the package gives may be missing.

    Attributes:
        names: the short names.
    """

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def _check(self, name: Any, info: ValidationInfo) -> Any:
        if isinstance(name, dict):
            return _check_arguments(str(info.field_name), name)
        if name in self.names:
            return name
        if not is_dotted(name):
            allowed = f"{nearest(name, list(self.names))}, or a dotted path as package.module.Name"
            raise PydanticCustomError(OWN, "{says}", {"says": allowed})
        try:
            find_callable(name)
        except UserError as error:
            raise PydanticCustomError(OWN, "{says}", {"says": str(error)}) from error
        return name


def _check_arguments(key: str, values: dict[str, Any]) -> dict[str, Any]:
    """Check a mapping with a `_target_`; raise ValueError for the first wrong argument."""
    from lightning_dl2.config.component import PARTIAL, TARGET, check_component

    if TARGET not in values:
        raise PydanticCustomError(OWN, "{says}", {"says": f"has no {TARGET}; allowed: {TARGET}=package.module.Name"})
    try:
        check_component(key, {**values, PARTIAL: True})
    except UserError as error:
        raise ValueError(str(error).removeprefix(f"{key}.")) from error
    return values


class Strict(BaseModel):
    """Base of the schemas: unknown keys are errors, and no value is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, protected_namespaces=())
