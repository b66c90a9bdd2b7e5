"""Read the command-line arguments of `generate`, its prompts and its stop strings."""

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, model_validator

from lightning_dl2.common.arguments import Arguments, RunDirectory, Text
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.paths import out_file

# The command's names of arguments that Decoding calls otherwise.
DECODING_NAMES = {"length": "max_new_tokens", "num_samples": "num_return_sequences"}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
DECODING = (
    "length num_samples seed do_sample temperature inverse_temperature top_k top_p min_p typical_p repetition_penalty"
    " num_beams length_penalty"
).split()


class GenerateArguments(Arguments):
    run: RunDirectory
    checkpoint: Text = "best"
    prompt: str | None = None
    prompts: Text | None = None
    unknown: Literal["error", "skip", "nearest"] = "error"
    stop: str | None = None
    out: Annotated[Path | None, PlainValidator(out_file)] = None
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

    @model_validator(mode="after")
    def prompts_are_given_once(self) -> "GenerateArguments":
        if self.prompt is not None and self.prompts is not None:
            raise UserError(f"prompts={self.prompts}: prompt is given too; fix: give one of the two")
        return self

    def decoding(self) -> dict[str, Any]:
        """Return the arguments of Decoding."""
        names = [name for name in type(self).model_fields if name in DECODING]
        values = {DECODING_NAMES.get(name, name): getattr(self, name) for name in names}
        if self.do_sample is None:
            values["do_sample"] = self.num_beams == 1
        return values


def read_prompts(arguments: GenerateArguments) -> list[str]:
    """Return the prompt, or one prompt for each line of a file or of standard input.

    Raises:
        UserError: the file cannot be read or is empty.
    """
    if arguments.prompts is None:
        return [arguments.prompt or ""]
    try:
        if arguments.prompts == "-":
            text = sys.stdin.read()
        else:
            text = Path(arguments.prompts).read_text("utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(f"prompts={arguments.prompts}: cannot be read: {why}; allowed: a UTF-8 file, or -") from error
    text = text.removeprefix("\ufeff")
    if not text:
        raise UserError(f"prompts={arguments.prompts}: is empty; allowed: one prompt on each line")
    # Not splitlines: it also splits at form feeds and five other characters.
    return text.removesuffix("\n").split("\n")


def read_stops(stop: str | None) -> tuple[str, ...]:
    """Return the one stop string, or those of a JSON list.

    Outside a JSON list, \\n, \\t, \\r and \\\\ mean a new line, a tab, a carriage return and one backslash, because
    quotes of a shell do not translate them. All other backslashes stand for themselves.

    Raises:
        UserError: the list holds something else than texts.
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
