"""Define the types and limits that several groups share."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

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
Scalar = bool | int | float | str | None | list[float]


class Strict(BaseModel):
    """Base of the schemas: unknown keys are errors, and no value is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, protected_namespaces=())
