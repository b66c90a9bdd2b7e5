"""Compare two runs to the last bit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from lightning_dl2.common.files import read_rows
from lightning_dl2.config.overrides import flatten
from lightning_dl2.run.directory import Run


def has_reached(run: Run, step: int) -> bool:
    """Return whether metrics.csv has a row of this step or a later one, and a checkpoint is there."""
    # The row of a step is written before its checkpoint: a run that is killed between the two starts anew.
    return run.last.exists() and any(int(row["step"]) >= step for row in read_rows(run.metrics_file))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every plain value and tensor of a checkpoint with its place."""
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from leaves(value[key], f"{path}/{key}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}/{index}")
    else:
        yield path, value


def checkpoint_differences(one: Run, other: Run) -> list[str]:
    """Return the places in which two last.ckpt differ by any bit, without the seconds of training."""
    sides = [dict(leaves(torch.load(run.last, weights_only=True))) for run in (one, other)]
    differing = []
    for path in sorted(sides[0].keys() | sides[1].keys()):
        if path.startswith("/callbacks/Stopwatch"):
            continue
        left, right = sides[0].get(path), sides[1].get(path)
        same = torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right
        if not same:
            differing.append(f"{path}: {left} != {right}")
    return differing


def metrics_differences(one: Run, other: Run) -> list[tuple[dict[str, str], dict[str, str]]]:
    """Return the rows in which two metrics.csv differ; their columns may have another order."""
    left, right = read_rows(one.metrics_file), read_rows(other.metrics_file)
    assert len(left) == len(right), f"{len(left)} rows, {len(right)} rows"
    return [(a, b) for a, b in zip(left, right, strict=True) if a != b]


def contents(run: Run) -> dict[str, Any]:
    """Return all values of a run's files by place, without seconds and paths of the run."""
    found: dict[str, Any] = {}
    for path in (run.last, run.best):
        found |= {f"{path.name}{place}": value for place, value in leaves(torch.load(path, weights_only=True))}
    for number, row in enumerate(read_rows(run.metrics_file)):
        found |= {f"metrics.csv/{number}/{key}": value for key, value in row.items() if value}
    found |= {f"result.json/{key}": value for key, value in flatten(run.result()).items()}
    found |= {f"samples/{path.name}": path.read_text() for path in (run.path / "samples").glob("*")}
    clocks = ("/seconds", "/steps_per_second")
    return {place: value for place, value in found.items() if not place.endswith(clocks)}


def contents_of(checkpoint: Path) -> Iterator[tuple[str, Any]]:
    """Yield all values of a checkpoint by place."""
    return leaves(torch.load(checkpoint, weights_only=True))


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return the places that differ by any bit or that only one run has."""
    return sorted(place for place in one | other if _bits(one.get(place)) != _bits(other.get(place)))


def _bits(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), bytes(value.contiguous().view(-1).view(torch.uint8).tolist())
    return repr(value)
