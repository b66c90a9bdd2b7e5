"""The runs as tables: for the terminal, as Markdown, as CSV."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from lightning_dl2.files import csv_text
from lightning_dl2.reporting.records import STATES, Record, printable
from lightning_dl2.reporting.variants import Experiment, Variant
from lightning_dl2.spread import Spread


@dataclass(frozen=True)
class Cell:
    """What is shown, and by what it is sorted; None comes last."""

    text: str
    value: float | str | None


Column = tuple[str, Callable[[Variant], Cell]]


def columns(experiment: Experiment) -> list[Column]:
    """Of the table of an experiment, a line a variant: heading and content.

    Means are over completed runs; in brackets over the others, so far, where none has completed.
    """

    def over_seeds(of: Callable[[Record], float | None], form: Callable[[Spread], str] = str) -> Callable:
        def cell(variant: Variant) -> Cell:
            spread = Spread.of(map(of, variant.completed or variant.records))
            if not spread:
                return Cell("", None)
            runs = len(variant.completed or variant.records)
            text = form(spread) + (f" ({spread.n} of {runs})" if spread.n < runs else "")  # others have diverged
            return Cell(text if variant.completed else f"({text})", spread.mean)

        return cell

    def whole(spread: Spread) -> str:
        return f"{spread.mean:,.0f}" + (f" ± {spread.deviation:,.0f}" if spread.deviation else "")

    names = {name: name for name in experiment.metrics if name != "test/perplexity"}  # which is a function of the loss
    names |= {name: _words(name) for name in experiment.references if _constant(experiment, name) is None}
    tests = [(told, over_seeds(lambda record, name=name: record.metrics.get(name))) for name, told in names.items()]
    return [
        ("variant", lambda variant: Cell(variant.label, variant.label)),
        ("runs", lambda variant: Cell(variant.runs, len(variant.completed))),
        *tests,
        (f"best {experiment.monitor}", over_seeds(experiment.best)),
        (f"last {experiment.monitor}", over_seeds(experiment.last)),
        ("steps", over_seeds(lambda record: record.steps, whole)),
        ("training s", over_seeds(lambda record: record.result.get("seconds"))),
        (
            "parameters",
            over_seeds(lambda record: record.result.get("parameters"), lambda spread: f"{spread.mean:,.0f}"),
        ),
    ]


def _constant(experiment: Experiment, name: str) -> float | None:
    """The value of a reference, if it is the same for all runs."""
    records = (record for variant in experiment.variants for record in variant.records)
    values = {record.metrics[name] for record in records if name in record.metrics}
    return values.pop() if len(values) == 1 else None


def references(experiment: Experiment) -> str:
    """What is to be beaten by all variants, in words; empty where nothing is known."""
    known = {name: _constant(experiment, name) for name in experiment.references}
    return ", ".join(f"{_words(name)} {value:.4g}" for name, value in known.items() if value is not None)


def _words(reference: str) -> str:
    return reference.removeprefix("test/").replace("_", " ")


def table(experiment: Experiment) -> Table:
    """For the terminal."""
    shown = columns(experiment)
    caption = references(experiment) or None
    made = Table(title=experiment.name, title_justify="left", caption=caption, caption_justify="left")
    for heading, _ in shown:
        first = {"overflow": "fold", "min_width": 24} if heading == "variant" else {"justify": "right"}
        made.add_column(heading, **first)
    for variant in experiment.variants:
        made.add_row(*(Text(of(variant).text) for _, of in shown))  # not strings: brackets are no markup
    return made


def markdown(found: list[Experiment], notes: list[str]) -> str:
    """All tables, and what was skipped."""
    parts = ["# Runs\n"]
    for experiment in found:
        shown = columns(experiment)
        lines = [[heading for heading, _ in shown], ["---"] * len(shown)]
        lines += [[of(variant).text.replace("|", "\\|") for _, of in shown] for variant in experiment.variants]
        parts.append(f"## {experiment.name}\n")
        if known := references(experiment):
            parts.append(f"{known}\n")
        parts.append("".join(f"| {' | '.join(line)} |\n" for line in lines))
    if notes:
        parts.append("## Skipped\n")
        parts.append("".join(f"- {note}\n" for note in notes))
    return "\n".join(parts)


def variants_csv(found: list[Experiment]) -> str:
    """A line a variant, for all experiments: means and standard deviations as numbers."""
    lines = []
    for experiment in found:
        for variant in experiment.variants:
            line: dict[str, Any] = {"experiment": experiment.name, "variant": variant.label}
            line |= {state: len(variant.with_state(state)) for state in STATES}
            line |= {"monitor": experiment.monitor}
            names = [*experiment.metrics, *experiment.references]
            values = {name: [record.metrics.get(name) for record in variant.completed] for name in names}
            values |= {
                "best": map(experiment.best, variant.completed),
                "last": map(experiment.last, variant.completed),
                "steps": [record.steps for record in variant.completed],
                "seconds": [record.result.get("seconds") for record in variant.completed],
                "parameters": [record.result.get("parameters") for record in variant.completed],
            }
            for name, each in values.items():
                spread = Spread.of(each)
                told = (spread.mean, spread.deviation, spread.n) if spread else (None, None, 0)
                line |= dict(zip((f"{name} mean", f"{name} std", f"{name} n"), told, strict=True))
            lines.append(line)
    return _csv(lines)


def runs_csv(found: list[Experiment]) -> str:
    """A line a run."""
    lines = []
    for experiment in found:
        for variant in experiment.variants:
            for record in variant.records:
                line = {"experiment": experiment.name, "variant": variant.label, "seed": record.seed}
                line |= {
                    "state": record.state,
                    "error": printable(record.result.get("error") or ""),
                    "monitor": experiment.monitor,
                }
                line |= {"best": experiment.best(record), "last": experiment.last(record), "steps": record.steps}
                line |= {key: record.result.get(key) for key in ("seconds", "parameters", "world_size", "device")}
                lines.append(line | record.metrics | {"run": record.name})
    return _csv(lines)


def _csv(lines: list[dict[str, Any]]) -> str:
    header = list(dict.fromkeys(key for line in lines for key in line))
    body = (["" if line.get(key) is None else line[key] for key in header] for line in lines)
    return csv_text([header, *body])
