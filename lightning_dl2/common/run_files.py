"""Read the files of a run directory, each kind by a reader of its own.

A file may be edited, forged, cut short, or replaced by a directory, a link or a pipe. Each reader returns plain values
that its schema allows, or raises `Damaged` with one line. No reader executes or follows anything that a file names.
"""

import csv
import json
import os
import re
import stat
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import read_regular, read_rows

LARGEST = 16 << 20  # bytes of a file that is read at once; config.yaml and result.json have a few thousand
LONGEST = 300  # digits of a number in a YAML file; a run writes none that a float cannot hold
DEEPEST = 20  # nesting of lists and mappings; config.yaml has four levels
# PyYAML may come without its C loader, which is ten times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SCALARS = yaml.constructor.SafeConstructor()
FIX = "write it again as it was, or use resume=restart"
_TAG = "tag:yaml.org,2002:"
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]


class RunFile(BaseModel):
    """Base of the schemas, which convert nothing, such as a text or a truth value to a number.

    Unknown keys pass: older and newer versions have others.
    """

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)  # NaN and infinity are written as null


class Result(RunFile):
    """Schema of result.json."""

    status: Literal["completed", "interrupted", "failed"]
    metrics: dict[str, Annotated[float, Field(allow_inf_nan=True)] | None]  # older versions wrote NaN
    experiment: str | None = None
    variant: str | None = None
    seed: Count | None = None
    error: str | None = None
    stopped_by: str | None = None
    solved_at: Count | None = None
    best_step: Count | None = None
    steps: Count | None = None
    epochs: Count | None = None
    seconds: Annotated[float, Field(ge=0)] | None = None
    steps_per_second: Annotated[float, Field(ge=0)] | None = None
    parameters: Count | None = None
    world_size: Count | None = None
    versions: dict[str, Any] | None = None
    device: str | None = None
    data_digest: str | None = None
    config_hash: str | None = None


class Parameters(RunFile):
    """Schema of the arguments of a task in a checkpoint."""

    spec: dict[str, Any]


def _having(*keys: str) -> AfterValidator:
    """Make the validator of a mapping that has `keys`, which Lightning and torch read unchecked."""

    def check(values: dict[str, Any]) -> dict[str, Any]:
        if missing := [key for key in keys if key not in values]:
            raise ValueError(f"has no {missing[0]}")
        return values

    return AfterValidator(check)


Optimizer = Annotated[dict[str, Any], _having("state", "param_groups")]


class Checkpoint(RunFile):
    """Schema of the part of a checkpoint that is read before Lightning loads it."""

    lightning: Annotated[str, Field(alias="pytorch-lightning_version", pattern=r"^\d+(\.\d+)+[\w.+-]*$")] = "0.0"
    global_step: Count
    hyper_parameters: dict[str, Any] = {}
    data_spec: dict[str, Any] | None = None  # of data of the user's own
    num_optimizers: Count = 1  # likewise
    epoch: Count = 0
    state_dict: dict[str, Any] = {}
    callbacks: dict[str, Any] = {}
    loops: Annotated[dict[str, Any], _having("fit_loop")] = {}
    optimizer_states: list[Optimizer] = []
    lr_schedulers: list[dict[str, Any]] = []
    world_size: Count | None = None  # older versions did not write it
    gpu: bool | None = None

    @model_validator(mode="after")
    def it_is_complete(self) -> "Checkpoint":
        if self.data_spec is None:
            Parameters.model_validate(self.hyper_parameters)
        # Without them Lightning would resume with an optimiser without its moments.
        if "optimizer_states" in self.model_fields_set and len(self.optimizer_states) < self.num_optimizers:
            raise ValueError(f"has {len(self.optimizer_states)} optimizer_states; allowed: {self.num_optimizers}")
        return self


class Damaged(UserError):
    """Failure to read a file of a run.

    Args:
        why: what is wrong with it, such as "is not YAML".
        fix: an instruction for the user.
    """

    def __init__(self, path: Path, why: str, fix: str = "") -> None:
        super().__init__(f"{path}: {why}{fix and f'; fix: {fix}'}")
        self.path, self.why = path, why


def read_file(path: Path, most: int | None = LARGEST) -> bytes | None:
    """Read a whole regular file; return None if it does not exist.

    Raises:
        Damaged: the path is no regular file, cannot be read, or has more than `most` bytes.
    """
    try:
        return read_regular(path, most)
    except OSError as error:
        raise Damaged(path, f"cannot be read: {error.strerror}") from error


def check_own_files(*paths: Path) -> None:
    """Check before writing that each path that exists is a regular file and no link.

    Raises:
        Damaged: one is something else.
    """
    for path in paths:
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            continue
        if not stat.S_ISREG(mode):
            kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a directory"}
            kind = kinds.get(stat.S_IFMT(mode), "no regular file")
            raise Damaged(path, f"is {kind}, where a run writes a file of its own", "move it away")


def read_config(path: Path) -> dict[str, Any] | None:
    """Read a run's config.yaml, without a check of its keys and values; return None if it does not exist.

    Raises:
        Damaged: it is not YAML, or holds an alias, a date, a key that is not text or the like.
    """
    if (content := read_file(path)) is None:
        return None
    try:
        values = plain_yaml(content)
    except ValueError as error:
        raise Damaged(path, f"is damaged: {error}", FIX) from error
    if not isinstance(values, dict):
        raise Damaged(path, f"is damaged: it {'is empty' if values is None else 'has no keys'}", FIX)
    return values


def plain_yaml(content: bytes) -> Any:
    """Parse YAML that consists of mappings with text keys, lists, texts, numbers, truth values and null.

    Raises:
        ValueError: it is not YAML, or holds anything else.
    """
    try:
        text = content.decode()
        check_events(text)
        node = yaml.compose(text, LOADER)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"it is not YAML: {str(error).splitlines()[0]}") from error
    return None if node is None else _plain(node)


def check_events(text: str) -> None:
    """Refuse YAML with aliases or too deep nesting.

    Raises:
        ValueError: names the line.
        yaml.YAMLError: it is not YAML.
    """
    depth = 0
    for event in yaml.parse(text, LOADER):
        assert event.start_mark
        if isinstance(event, yaml.AliasEvent):  # nested aliases make more values than memory holds
            raise ValueError(f"line {event.start_mark.line + 1} has an alias")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"line {event.start_mark.line + 1} is nested too deeply")


def _plain(node: yaml.Node) -> Any:
    kind = node.tag.removeprefix(_TAG)
    if isinstance(node, yaml.MappingNode) and kind == "map":
        return _plain_mapping(node)
    if isinstance(node, yaml.SequenceNode) and kind == "seq":
        return [_plain(value) for value in node.value]
    if isinstance(node, yaml.ScalarNode) and kind == "str":
        return node.value
    if isinstance(node, yaml.ScalarNode) and kind in ("null", "bool", "int", "float"):
        if len(node.value) > LONGEST:
            raise ValueError(f"line {node.start_mark.line + 1} has a number of {len(node.value)} digits")
        try:
            return getattr(_SCALARS, f"construct_yaml_{kind}")(node)
        except KeyError as error:  # `!!bool maybe`
            raise ValueError(f"line {node.start_mark.line + 1} is no {kind}") from error
    raise ValueError(f"line {node.start_mark.line + 1} is of the type {kind}")


def _plain_mapping(node: yaml.MappingNode) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or key.tag != f"{_TAG}str":
            raise ValueError(f"line {line} has a key that is not text")
        if key.value in values:
            raise ValueError(f"line {line} has the key {key.value} once more")
        values[key.value] = _plain(value)
    return values


def read_result(path: Path) -> dict[str, Any] | None:
    """Read a run's result.json; return None if it does not exist.

    Raises:
        Damaged: it is not JSON, or does not match `Result`.
    """
    if (content := read_file(path)) is None:
        return None
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise Damaged(path, "is damaged")
    try:
        Result.model_validate(values)
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        says = "is missing" if error.errors()[0]["type"] == "missing" else error.errors()[0]["msg"]
        raise Damaged(path, f"is not a run's: {key}: {says}") from error
    return values


def read_metrics(path: Path, *, tell: bool = True) -> list[dict[str, str]]:
    """Read metrics.csv: each row has a `step`, and numbers or nothing in the other columns; no file, no rows.

    Args:
        tell: whether to print how many rows `read_rows` drops.

    Raises:
        Damaged: it is no such table.
    """
    fix = "remove it, without its rows, or use resume=restart"
    try:
        rows = read_rows(path, tell=tell)
        for row in rows:
            if not re.fullmatch("[0-9]{1,18}", row["step"]):
                raise ValueError(row["step"])
            for value in row.values():
                float(value or 0)
    except OSError as error:
        raise Damaged(path, f"cannot be read: {error.strerror}", fix) from error
    except (csv.Error, KeyError, ValueError) as error:
        raise Damaged(path, "is damaged", fix) from error
    return rows
