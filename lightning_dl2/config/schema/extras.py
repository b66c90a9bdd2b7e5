"""Define groups that hold objects of the user's own beside their own keys: callbacks and loggers by `_target_`."""

from typing import Any

from pydantic import ConfigDict, model_validator

from lightning_dl2.common.errors import nearest
from lightning_dl2.config.schema.base import Strict
from lightning_dl2.config.schema.component import TARGET


class WithExtras(Strict):
    """Base of a group whose further keys are objects: each a mapping with a `_target_`, or null for none."""

    model_config = ConfigDict(extra="allow")

    @property
    def own(self) -> dict[str, dict[str, Any]]:
        """Map the name of each object of the user's own to its plain values."""
        return {name: values for name, values in (self.model_extra or {}).items() if values is not None}

    @model_validator(mode="after")
    def further_keys_are_objects(self) -> "WithExtras":
        for name, values in self.own.items():
            if not isinstance(values, dict) or TARGET not in values:
                known = nearest(name, list(type(self).model_fields))
                raise ValueError(f"{name}: there is no such key; {known}, or a group of keys with {TARGET}")
        return self
