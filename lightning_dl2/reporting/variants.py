"""Group runs: the seeds of the same choices form a variant, the variants of an experiment form a table."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_dl2.common.figures import BASELINES
from lightning_dl2.common.statistics import MeanStd, bare_name, by_quality, split_of
from lightning_dl2.config.identity import digest, find_differing_keys
from lightning_dl2.config.overrides import format_override
from lightning_dl2.reporting.records import STATES, Found, Record, printable
from lightning_dl2.run.directory import last_parts

# Test figures without a net: those of trivial or linear models, and of compression programs.
REFERENCE = re.compile(r"_baseline$|_(gzip|bz2|xz)(_|$)")


@dataclass(frozen=True)
class Choice:
    """A value of the configuration: as it is typed, and as a number where it is one, for sorting."""

    text: str
    value: float | str


@dataclass(frozen=True)
class Variant:
    """The runs of the same choices, one for each seed."""

    label: str  # the choices that distinguish it from the other variants of its experiment
    records: list[Record]  # by seed
    choices: dict[str, Choice]  # the same choices by heading; all variants of an experiment have the same headings

    @property
    def completed(self) -> list[Record]:
        """Return the runs for all means; others may have trained for fewer steps."""
        return self.with_state("completed")

    def with_state(self, state: str) -> list[Record]:
        return [record for record in self.records if record.state == state]

    @property
    def runs(self) -> str:
        """Count the runs by state, such as `3 + 1 failed`."""
        counts = {state: len(self.with_state(state)) for state in STATES}
        parts = [str(counts["completed"])] + [f"{counts[state]} {state}" for state in STATES[1:] if counts[state]]
        return " + ".join(parts)


@dataclass(frozen=True)
class Experiment:
    """All runs of an experiment."""

    name: str  # as in `experiment=name`
    monitor: str  # the metric that chooses the best checkpoint; empty: none does
    mode: str  # "min" or "max", by the monitor
    metrics: list[str]  # names of the test metrics of the nets
    references: list[str]  # names of the test figures without a net, such as those of baselines and compressors
    variants: list[Variant]  # the best first
    choices: list[str]  # headings of the choices that differ between the variants; empty for a single variant

    @property
    def records(self) -> list[Record]:
        """Return the runs of all variants."""
        return [record for variant in self.variants for record in variant.records]

    @property
    def test_splits(self) -> list[str]:
        """Name the data of test/*; several where the runs differ in them."""
        return sorted({record.test_split for record in self.records})

    def baseline(self, metric: str, runs: Iterable[Record]) -> tuple[str, float] | None:
        """Return name and value of the baseline of a metric, named without its split; None unless all `runs` share it.

        The baseline always gives the same label or number.
        """
        name = BASELINES.get(metric)
        values = {record.metrics[f"test/{name}"] for record in runs if f"test/{name}" in record.metrics}
        return (name.replace("_", " "), values.pop()) if name and len(values) == 1 else None

    def best(self, record: Record) -> float | None:
        """Return the best value of the monitored metric during training."""
        values = record.history(self.monitor).values()
        return min(values, key=lambda value: by_quality(value, self.mode), default=None)

    def last(self, record: Record) -> float | None:
        """Return its last value, which is not finite where a run has diverged."""
        return record.logged.last.get(self.monitor)

    def best_record(self, variant: Variant) -> Record:
        """Return the completed run with the best value; where none has completed, the best of all."""
        return min(variant.completed or variant.records, key=lambda record: by_quality(self.best(record), self.mode))


def experiments(found: Found, over: Iterable[str] = ()) -> list[Experiment]:
    """Group runs by experiment, by name. Of several copies of a run one counts; the others are added to `skipped`.

    Args:
        over: keys of the configuration to average over beside the seed, such as `data.fold`.
    """
    named: dict[str, list[Record]] = {}
    for record in found.records:
        named.setdefault(record.experiment, []).append(record)
    return [_experiment(name, records, tuple(over), found.skipped) for name, records in sorted(named.items())]


def _experiment(name: str, records: list[Record], over: tuple[str, ...], skipped: list[tuple[Path, str]]) -> Experiment:
    over = tuple(key for key in over if len({format_override(record.choices.get(key)) for record in records}) > 1)
    groups: dict[str, dict[str, Record]] = {}
    for record in sorted(records, key=lambda record: (record.state != "completed", -record.steps)):
        own = {key: record.choices.get(key) for key in over} | {"seed": record.seed}
        same = {key: value for key, value in record.choices.items() if key not in over}
        group = groups.setdefault(digest(same), {})
        if (kept := group.setdefault(digest(own), record)) is not record:
            skipped.append((record.path, f"is the same run as {kept.name}"))
    chosen = [sorted(group.values(), key=lambda record: (record.seed, record.path)) for group in groups.values()]
    choices = _choices([group[0] for group in chosen], over)
    variants = [Variant(_label(own, group[0], over), group, own) for own, group in zip(choices, chosen, strict=True)]
    counted = [record for group in chosen for record in group]
    (monitor, mode), _ = Counter(record.monitor() for record in counted).most_common(1)[0]
    tests = dict.fromkeys(key for record in counted for key in record.metrics if split_of(key) == "test")
    nets = {bare_name(key) for record in counted for key in record.metrics if split_of(key) in ("val", None)}
    first = bare_name(monitor)
    # A run that ended before its first validation has no val/*: then the name of the figure decides.
    references = sorted(key for key in tests if bare_name(key) not in nets and REFERENCE.search(key))
    metrics = sorted((key for key in tests if key not in references), key=lambda key: (bare_name(key) != first, key))
    experiment = Experiment(name, monitor, mode, metrics, references, variants, list(choices[0]) if choices else [])

    def quality(variant: Variant) -> tuple[tuple[bool, float], str]:
        spread = MeanStd.of(map(experiment.best, variant.completed))
        return by_quality(spread.mean if spread else None, mode), variant.label

    variants.sort(key=quality)
    return experiment


def _choices(records: list[Record], over: tuple[str, ...]) -> list[dict[str, Choice]]:
    """Return the choices that distinguish each variant, by heading: a key's last parts where they are unique."""
    keys = [key for key in find_differing_keys(record.choices for record in records) if key not in over]
    names = Counter(map(last_parts, keys))
    paths = {format_override(record.choices.get("data.path")) for record in records}
    names_suffice = len({Path(path).name for path in paths}) == len(paths)

    def heading(key: str) -> str:
        name = last_parts(key)
        return printable(name if names[name] == 1 else key)

    def choice(key: str, value: Any) -> Choice:
        if key == "data.path" and isinstance(value, str) and names_suffice:
            value = printable(Path(value).name)
            return Choice(value, value)
        text = printable(format_override(value))
        return Choice(text, value if isinstance(value, int | float) and not isinstance(value, bool) else text)

    return [{heading(key): choice(key, record.choices.get(key)) for key in keys} for record in records]


def _label(choices: dict[str, Choice], record: Record, over: tuple[str, ...]) -> str:
    """Return the choices as they would be typed; for a single variant the name of its directory."""
    if choices:
        return " ".join(f"{heading}={choice.text}" for heading, choice in choices.items())
    name = record.result.get("variant") or record.path.resolve().parent.name
    return f"mean over {', '.join(over)}" if over else printable(name)
