"""What the command `generate` is asked for: its keys, its prompts, its stop strings."""

import json
import re
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lightning_dl2.common.errors import UserError, nearest

# The command's words for what Decoding calls otherwise.
WORDS = {"length": "max_new_tokens", "num_samples": "num_return_sequences"}
# Where pydantic's own words would not help, by its type of error.
ALLOWED = {"bool_parsing": "true, false", "int_parsing": "an integer", "float_parsing": "a number"}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
DECODING = (
    "length num_samples seed do_sample temperature inverse_temperature top_k top_p min_p typical_p repetition_penalty"
    " num_beams length_penalty"
).split()


class Settings(BaseModel):
    """The command's keys, with their defaults; words are converted to these types."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    run: str
    checkpoint: str = "best"
    prompt: str | None = None
    prompts: str | None = None
    unknown: Literal["error", "skip", "nearest"] = "error"
    stop: str | None = None
    out: str | None = None
    format: Literal["text", "jsonl"] | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    length: int = Field(200, ge=0, le=10**9)
    num_samples: int = Field(1, le=10_000)
    seed: int = Field(0, ge=0)
    do_sample: bool | None = None
    temperature: float = 1.0
    inverse_temperature: float | None = None
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    num_beams: int = Field(1, le=10_000)
    length_penalty: float = 1.0

    def decoding(self) -> dict[str, Any]:
        """The arguments of Decoding."""
        names = [name for name in type(self).model_fields if name in DECODING]
        values = {WORDS.get(name, name): getattr(self, name) for name in names}
        if self.do_sample is None:
            values["do_sample"] = self.num_beams == 1
        return values


def parse(words: list[str]) -> Settings:
    """`key=value` words as Settings.

    Raises:
        UserError: names the first wrong key.
    """
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if key not in Settings.model_fields:
            raise UserError(f"{word}: there is no key {key}; {nearest(key, list(Settings.model_fields))}")
        if not equals:
            raise UserError(f"{word}: is not of the form {key}=VALUE")
        values[key] = value
    if not values.get("run"):
        raise UserError("run=VALUE: is missing; allowed: run=DIR, a directory that train printed")
    if "prompt" in values and "prompts" in values:
        raise UserError(f"prompts={values['prompts']}: prompt is given too; allowed: one of the two")
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        says = ALLOWED.get(first["type"]) or first["msg"].removeprefix("Input should be ")
        raise UserError(f"{key}={values[key]}: allowed: {says}") from error


def read_prompts(settings: Settings) -> list[str]:
    """One prompt, or one a line of a file or of standard input; raises UserError where there is none."""
    if settings.prompts is None:
        return [settings.prompt or ""]
    try:
        if settings.prompts == "-":
            text = sys.stdin.read()
        else:
            text = Path(settings.prompts).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"prompts={settings.prompts}: cannot be read: {error}; allowed: a UTF-8 file, or -") from error
    text = text.removeprefix("\ufeff")
    if not text:
        raise UserError(f"prompts={settings.prompts}: is empty; allowed: one prompt a line")
    # Not splitlines, for which form feeds and five other characters end a line, too.
    return text.removesuffix("\n").split("\n")


def read_stops(stop: str | None) -> tuple[str, ...]:
    """A text, or the texts of a JSON list; raises UserError for a list of something else.

    In a text that is no list, \\n, \\t, \\r and \\\\ are a new line, a tab, a carriage return and one backslash: a
    shell's quotes leave them as they are typed. All other backslashes are backslashes.
    """
    if not stop:
        return ()
    try:
        found = json.loads(stop) if stop.startswith("[") else None
    except ValueError:
        found = None
    if found is None:
        return (re.sub(r"\\([ntr\\])", lambda at: ESCAPES[at[1]], stop),)
    if not all(isinstance(each, str) and each for each in found):
        raise UserError(f"stop={stop}: allowed: a text, or a JSON list of texts")
    return tuple(found)
