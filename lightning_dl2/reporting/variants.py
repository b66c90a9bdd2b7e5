"""Runs put together: the seeds of the same choices are a variant, the variants of an experiment stand in a table."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_dl2.config import typed
from lightning_dl2.identity import differing, digest
from lightning_dl2.reporting.records import STATES, Found, Record, printable
from lightning_dl2.spread import Spread


@dataclass(frozen=True)
class Variant:
    """The runs of the same choices, one a seed.

    Args:
        label: the choices that tell it from the other variants of its experiment.
        records: by seed.
    """

    label: str
    records: list[Record]

    @property
    def completed(self) -> list[Record]:
        """The runs that all means are taken over: others may have trained for less."""
        return self.with_state("completed")

    def with_state(self, state: str) -> list[Record]:
        return [record for record in self.records if record.state == state]

    @property
    def runs(self) -> str:
        """How many there are: `3 + 1 failed`."""
        counts = {state: len(self.with_state(state)) for state in STATES}
        told = [str(counts["completed"])] + [f"{counts[state]} {state}" for state in STATES[1:] if counts[state]]
        return " + ".join(told)


@dataclass(frozen=True)
class Experiment:
    """All runs of an experiment.

    Args:
        name: as in `experiment=name`.
        monitor: the metric that chooses the best checkpoint; likewise `mode`, "min" or "max".
        metrics: names of the test metrics that the nets have.
        references: names of the test figures that no net has part in, such as baselines and compressors.
        variants: the best first.
    """

    name: str
    monitor: str
    mode: str
    metrics: list[str]
    references: list[str]
    variants: list[Variant]

    def best(self, record: Record) -> float | None:
        """The best value of the monitored metric on the way."""
        values = record.history(self.monitor).values()
        return (max if self.mode == "max" else min)(values) if values else None

    def last(self, record: Record) -> float | None:
        """Its last value, which may be none where a run has diverged."""
        return record.last(self.monitor)

    def best_record(self, variant: Variant) -> Record:
        """The completed run with the best value; where none has completed, of all."""
        sign = -1 if self.mode == "max" else 1

        def rank(record: Record) -> tuple[bool, float]:
            value = self.best(record)
            return value is None, sign * (value or 0.0)

        return min(variant.completed or variant.records, key=rank)


def experiments(found: Found, over: Iterable[str] = ()) -> list[Experiment]:
    """Puts runs together, by name. Of runs that are the same, one counts; the others are added to what is skipped.

    Args:
        over: keys of the configuration that means are taken over beside the seed, such as `data.fold`.
    """
    named: dict[str, list[Record]] = {}
    for record in found.records:
        named.setdefault(record.experiment, []).append(record)
    return [_experiment(name, records, tuple(over), found.skipped) for name, records in sorted(named.items())]


def _experiment(name: str, records: list[Record], over: tuple[str, ...], skipped: list[tuple[Path, str]]) -> Experiment:
    over = tuple(key for key in over if len({typed(record.choices.get(key)) for record in records}) > 1)
    groups: dict[str, dict[str, Record]] = {}
    for record in sorted(records, key=lambda record: (record.state != "completed", -record.steps)):
        own = {key: record.choices.get(key) for key in over} | {"seed": record.seed}
        same = {key: value for key, value in record.choices.items() if key not in over}
        group = groups.setdefault(digest(same), {})
        if (kept := group.setdefault(digest(own), record)) is not record:
            skipped.append((record.path, f"is the same run as {kept.name}"))
    chosen = [sorted(group.values(), key=lambda record: (record.seed, record.path)) for group in groups.values()]
    labels = _labels([group[0] for group in chosen], over)
    variants = [Variant(label, group) for label, group in zip(labels, chosen, strict=True)]
    counted = [record for group in chosen for record in group]
    (monitor, mode), _ = Counter(record.monitor() for record in counted).most_common(1)[0]
    tests = dict.fromkeys(key for record in counted for key in record.metrics if key.startswith("test/"))
    nets = {key.replace("val/", "test/") for record in counted for key in record.metrics if key.startswith("val/")}
    first = monitor.replace("val/", "test/")
    metrics = sorted((key for key in tests if key in nets), key=lambda key: (key != first, key))
    references = sorted(key for key in tests if key not in nets)
    experiment = Experiment(name, monitor, mode, metrics, references, variants)
    sign = -1 if mode == "max" else 1

    def rank(variant: Variant) -> tuple[bool, float, str]:
        spread = Spread.of(map(experiment.best, variant.completed))
        return spread is None, sign * (spread.mean if spread else 0.0), variant.label

    variants.sort(key=rank)
    return experiment


def _labels(records: list[Record], over: tuple[str, ...]) -> list[str]:
    """What tells each of some variants from the others, as it would be typed; of a single one, its directory's name."""
    if len(records) == 1:
        name = records[0].result.get("variant") or records[0].path.resolve().parent.name
        return [f"mean over {', '.join(over)}" if over else printable(name)]
    keys = [key for key in differing(record.choices for record in records) if key not in over]
    last_parts = Counter(key.rpartition(".")[2] for key in keys)
    paths = {typed(record.choices.get("data.path")) for record in records}
    names_suffice = len({Path(path).name for path in paths}) == len(paths)

    def word(key: str, value: Any) -> str:
        name = key.rpartition(".")[2]
        short = key == "data.path" and isinstance(value, str) and names_suffice
        return f"{name if last_parts[name] == 1 else key}={Path(value).name if short else typed(value)}"

    return [printable(" ".join(word(key, record.choices.get(key)) for key in keys)) for record in records]
