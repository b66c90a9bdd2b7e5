"""Make tables of the runs: for the terminal, as Markdown, as CSV."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rich.table import Table
from rich.text import Text

from lightning_dl2.common.files import csv_text
from lightning_dl2.common.statistics import MeanStd, bare_name
from lightning_dl2.config.schema import HELD_OUT
from lightning_dl2.reporting.records import STATES, Record, printable
from lightning_dl2.reporting.size_curves import AT, BEYOND
from lightning_dl2.reporting.variants import Experiment, Variant

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # first characters of a formula in a spreadsheet
VARIANT_ROOM = 40  # characters; longer names are folded


@dataclass(frozen=True)
class Cell:
    """A text to show, and a value to sort by; None comes last."""

    text: str
    value: float | str | None


class Column(NamedTuple):
    """Heading and cells of a column; a narrow terminal drops the highest rank first."""

    heading: str
    of: Callable[[Variant], Cell]
    rank: int


NAME = Column("variant", lambda variant: Cell(variant.label, variant.label), 0)


def choice_columns(experiment: Experiment) -> list[Column]:
    """Return a column for each key in which the variants differ; for a single variant its name."""

    def of(heading: str) -> Callable[[Variant], Cell]:
        return lambda variant: Cell(variant.choices[heading].text, variant.choices[heading].value)

    return [Column(heading, of(heading), 0) for heading in experiment.choices] or [NAME]


def columns(experiment: Experiment) -> list[Column]:
    """Return the columns of an experiment's table after those of the choices; it has a line for each variant.

    Means are over completed runs. Where none has completed, they are over the others so far, in brackets.
    """

    def over_seeds(of: Callable[[Record], float | None], form: Callable[[MeanStd], str] = str) -> Callable[..., Any]:
        def cell(variant: Variant) -> Cell:
            spread = MeanStd.of(map(of, variant.completed or variant.records))
            if not spread:
                return Cell("", None)
            runs = len(variant.completed or variant.records)
            text = form(spread) + (f" ({spread.n} of {runs})" if spread.n < runs else "")  # the others have diverged
            return Cell(text if variant.completed else f"({text})", spread.mean)

        return cell

    def whole(spread: MeanStd) -> str:
        return f"{spread.mean:,.0f}" + (f" ± {spread.deviation:,.0f}" if spread.deviation else "")

    def metric(name: str) -> Callable[..., Any]:
        return over_seeds(lambda record: record.metrics.get(name))

    def size(name: str) -> float:
        return float(found[2]) if (found := AT.fullmatch(name)) else 0.0  # metrics at a size come last, by size

    def rank(name: str) -> int:
        if name in tests[:1]:
            return 0
        return 1 if bare_name(name) == "accuracy" or BEYOND.fullmatch(name) else 7 if AT.fullmatch(name) else 5

    tests = [name for name in experiment.metrics if bare_name(name) != "perplexity"]  # a function of the loss
    followed = experiment.monitor
    monitored = [
        Column(f"best {followed}", over_seeds(experiment.best), 1),
        Column(f"last {followed}", over_seeds(experiment.last), 4),
    ]
    splits = [Column("test split", _test_split, 1)] if len(experiment.test_splits) > 1 else []
    differing = [name for name in experiment.references if _constant(experiment, name) is None]
    return [
        Column("runs", lambda variant: Cell(variant.runs, len(variant.completed)), 0),
        *(Column(name, metric(name), rank(name)) for name in sorted(tests, key=size)),
        *splits,
        *(Column(_reference_name(name), metric(name), 6) for name in differing),
        *(monitored if followed else []),
        Column("steps", over_seeds(lambda record: record.steps, whole), 3),
        Column("training s", over_seeds(lambda record: record.result.get("seconds")), 2),
        Column("parameters", over_seeds(lambda record: record.result.get("parameters"), "{0.mean:,.0f}".format), 2),
    ]


def _test_split(variant: Variant) -> Cell:
    names = " and ".join(sorted({record.test_split for record in variant.records}))
    return Cell(names, names)


def _constant(experiment: Experiment, name: str) -> float | None:
    """Return the value of a reference, if it is the same for all runs."""
    values = {record.metrics[name] for record in experiment.records if name in record.metrics}
    return values.pop() if len(values) == 1 else None


def remarks(experiment: Experiment) -> list[str]:
    """Return lines that hold for all variants: the baselines, and the data of test/* where they are no test set."""
    constants = {name: _constant(experiment, name) for name in experiment.references}
    known = ", ".join(f"{_reference_name(name)} {value:.4g}" for name, value in constants.items() if value is not None)
    splits = [split for split in experiment.test_splits if split != HELD_OUT]
    measured = f"test/* is measured on: {splits[0]}" if len(experiment.test_splits) == 1 and splits else ""
    return list(filter(None, [known and f"references: {known}", measured]))


def _reference_name(reference: str) -> str:
    return bare_name(reference).replace("_", " ")


def table(experiment: Experiment, width: int) -> Table:
    """Make a table for a terminal of `width` characters; the caption names the columns without room.

    Choices that would fill the terminal share one column, folded.
    """

    def room(column: Column) -> int:
        longest = max(len(column.heading), *(len(column.of(each).text) for each in experiment.variants))
        return 3 + (min(longest, VARIANT_ROOM) if column is NAME else longest)

    chosen = choice_columns(experiment)
    if sum(map(room, chosen)) > width // 2:
        chosen = [NAME]
    shown = [*chosen, *columns(experiment)]
    texts = {column: [column.of(each).text for each in experiment.variants] for column in shown}
    left_out: list[str] = []

    while sum(map(room, texts)) >= width and (rank := max(column.rank for column in texts)):
        column = [column for column in texts if column.rank == rank][-1]
        del texts[column]
        left_out.insert(0, column.heading)
    below = [*remarks(experiment), f"no room for {', '.join(left_out)}" if left_out else ""]
    caption = "\n".join(filter(None, below)) or None
    made = Table(title=experiment.name, title_justify="left", caption=caption, caption_justify="left")
    for column in texts:
        made.add_column(column.heading, overflow="fold", justify="left" if column in chosen else "right")
    for cells in zip(*texts.values(), strict=True):
        made.add_row(*map(Text, cells))  # rich reads brackets in a plain string as markup
    return made


def markdown_table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Write a table as Markdown; a bar within a text does not end its cell."""
    rows = [list(head), ["---"] * len(head), *lines]
    return "".join("| " + " | ".join(text.replace("|", "\\|") for text in row) + " |\n" for row in rows)


def markdown(found: list[Experiment], notes: list[str], first: Iterable[str] = ()) -> str:
    """Write all tables, those of `first` before the others, and the skipped directories and files, as Markdown."""
    parts = ["# Runs\n", *first]
    for experiment in found:
        shown = [*choice_columns(experiment), *columns(experiment)]
        lines = ([column.of(variant).text for column in shown] for variant in experiment.variants)
        parts.append(f"## {experiment.name}\n")
        parts += [f"{remark}\n" for remark in remarks(experiment)]
        parts.append(markdown_table([column.heading for column in shown], lines))
    if notes:
        parts.append("## Skipped\n")
        parts.append("".join(f"- {note}\n" for note in notes))
    return "\n".join(parts)


def variants_csv(found: list[Experiment]) -> str:
    """Write a line for each variant of all experiments: means and standard deviations as numbers."""
    lines = []
    for experiment in found:
        for variant in experiment.variants:
            line: dict[str, Any] = {"experiment": experiment.name, "variant": variant.label}
            line |= {state: len(variant.with_state(state)) for state in STATES}
            line |= {"monitor": experiment.monitor}
            names = [*experiment.metrics, *experiment.references]
            values = {name: [record.metrics.get(name) for record in variant.completed] for name in names}
            values |= {
                "best": [experiment.best(record) for record in variant.completed],
                "last": [experiment.last(record) for record in variant.completed],
                "steps": [record.steps for record in variant.completed],
                "seconds": [record.result.get("seconds") for record in variant.completed],
                "parameters": [record.result.get("parameters") for record in variant.completed],
            }
            for name, each in values.items():
                spread = MeanStd.of(each)
                numbers = (spread.mean, spread.deviation, spread.n) if spread else (None, None, 0)
                line |= dict(zip((f"{name} mean", f"{name} std", f"{name} n"), numbers, strict=True))
            lines.append(line | _choices(variant) | {"test split": _test_split(variant).text})
    return _csv(lines)


def runs_csv(found: list[Experiment]) -> str:
    """Write a line for each run."""
    lines = []
    for experiment in found:
        for variant in experiment.variants:
            for record in variant.records:
                error = printable(record.result.get("error") or "")
                line = {"experiment": experiment.name, "variant": variant.label, "seed": record.seed}
                line |= {"state": record.state, "error": error, "monitor": experiment.monitor}
                line |= {"best": experiment.best(record), "last": experiment.last(record), "steps": record.steps}
                line |= {key: record.result.get(key) for key in ("seconds", "parameters", "world_size", "device")}
                line |= record.metrics | {"run": record.name, "test split": record.test_split}
                lines.append(line | _choices(variant))
    return _csv(lines)


def _choices(variant: Variant) -> dict[str, float | str]:
    """Return the columns of the choices, which follow the columns of older reports."""
    return {f"choice {heading}": choice.value for heading, choice in variant.choices.items()}


def _csv(lines: list[dict[str, Any]]) -> str:
    header = list(dict.fromkeys(key for line in lines for key in line))
    body = (["" if line.get(key) is None else line[key] for key in header] for line in lines)
    return csv_text([inert(value) for value in row] for row in (header, *body))


def inert(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would take for a formula; a number stays one.

    Source: OWASP, CSV Injection.
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
