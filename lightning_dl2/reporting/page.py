"""The page: one HTML file with all it needs in it."""

import secrets
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lightning_dl2.common.figures import COLOURS, TRAINING, VALIDATION
from lightning_dl2.reporting import learning_curves
from lightning_dl2.reporting.records import STATES, Record, printable
from lightning_dl2.reporting.tables import Cell, choice_columns, columns, remarks
from lightning_dl2.reporting.variants import Experiment, Variant

TITLE = "Runs of lightning_dl2"


@dataclass(frozen=True)
class Line:
    """Of an experiment's table.

    Args:
        label: all choices of the variant, to be searched for and shown where there is room for one line.
        colour: in the figure below; None: not drawn there.
        detail: the name of the place that tells more; None: there is none.
    """

    label: str
    cells: list[Cell]
    colour: str | None
    detail: str | None


@dataclass(frozen=True)
class Picture:
    name: str
    source: str


@dataclass(frozen=True)
class Detail:
    """What is told of one variant; samples and pictures are those of its best run, whose seed is `seed`."""

    name: str
    label: str
    runs: str
    panels: list[Markup]
    lines: list[list[Cell]]
    seed: int
    samples: list[tuple[str, str]]
    pictures: list[Picture]


@dataclass(frozen=True)
class Section:
    """What is told of one experiment; `drawn` variants stand in its figure, `left_out` do not.

    Args:
        overview: the monitored metric, for the top of the page; empty where nothing was logged.
        best: what the best variant came to, in a line.
        remarks: what holds for all its variants.
        choices: how many of the headings, the first ones, are those of choices.
    """

    name: str
    overview: Markup
    best: str
    remarks: list[str]
    headings: list[str]
    choices: int
    run_headings: list[str]
    lines: list[Line]
    panels: list[Markup]
    drawn: int
    left_out: int
    details: list[Detail]


def render(
    found: list[Experiment],
    pictures: list[Path],
    notes: list[str],
    *,
    details: int,
    progress: Callable[[str], None] = lambda what: None,
) -> str:
    """The page's text.

    Args:
        pictures: PNGs to show below the experiments.
        notes: a line for all that was skipped.
        details: of how many variants of each experiment, the best ones, curves, samples and runs are shown.
        progress: is told each variant whose details are done.
    """
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    records = [record for experiment in found for variant in experiment.variants for record in variant.records]
    counts = {state: sum(record.state == state for record in records) for state in STATES}
    told = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    return environment.get_template("page.html").render(
        title=TITLE,
        counts=f"{len(records)} runs: {told}" if records else "No runs",
        made=f"Made on {datetime.now():%Y-%m-%d at %H:%M}.",
        nonce=secrets.token_urlsafe(),
        sections=[_section(experiment, details, progress) for experiment in found],
        pictures=[_picture(path) for path in pictures],
        notes=notes,
        states=STATES,
        training=TRAINING,
        validation=VALIDATION,
    )


def _section(experiment: Experiment, details: int, progress: Callable[[str], None]) -> Section:
    names, variants = learning_curves.shown_metrics(experiment), experiment.variants
    shown = [*choice_columns(experiment), *columns(experiment)]
    drawn = min(len(variants), len(COLOURS))
    lines = [
        Line(
            variant.label,
            [column.of(variant) for column in shown],
            learning_curves.colour(number) if number < drawn else None,
            f"v{number + 1}" if number < details else None,
        )
        for number, variant in enumerate(variants)
    ]
    told = []
    for line, variant in zip(lines, variants[:details], strict=False):
        told.append(_detail(str(line.detail), experiment, variant, names))
        progress(variant.label)
    return Section(
        name=experiment.name,
        overview=Markup(learning_curves.compare(experiment, names[0], "overview") if names else ""),
        best=_best(experiment),
        remarks=remarks(experiment),
        headings=[column.heading for column in shown],
        choices=max(1, len(experiment.choices)),
        run_headings=[
            *("seed", "state", f"best {experiment.monitor}", f"last {experiment.monitor}"),
            *(*experiment.metrics[:1], "steps", "training s", "directory, and what went wrong"),
        ],
        lines=lines,
        panels=_panels(learning_curves.compare(experiment, name) for name in names) if len(variants) > 1 else [],
        drawn=drawn,
        left_out=len(variants) - drawn,
        details=told,
    )


def _detail(name: str, experiment: Experiment, variant: Variant, metrics: list[str]) -> Detail:
    best = experiment.best_record(variant)
    return Detail(
        name=name,
        label=variant.label,
        runs=variant.runs,
        panels=_panels(learning_curves.alone(experiment, variant, metric) for metric in metrics),
        lines=[_run(experiment, record) for record in variant.records],
        seed=best.seed,
        samples=best.samples(),
        pictures=[_picture(path) for path in best.pictures()],
    )


def _best(experiment: Experiment) -> str:
    """Return the best variant with its first test figure, or its best validation where nothing has completed."""
    best = experiment.variants[0]
    known = {column.heading: column.of(best).text for column in columns(experiment)}
    names = "test/accuracy", *experiment.metrics, f"best {experiment.monitor}"
    told = next((f"{name} {known[name]}" for name in names if known.get(name)), "nothing measured yet")
    return f"{best.label}: {told}" if len(experiment.variants) > 1 else told


def _panels(drawn: Iterable[str]) -> list[Markup]:
    return [Markup(svg) for svg in drawn if svg]  # made by matplotlib, which escapes what it is given


def _run(experiment: Experiment, record: Record) -> list[Cell]:
    tests = [record.metrics.get(name) for name in experiment.metrics[:1]]
    numbers = experiment.best(record), experiment.last(record), *tests, record.steps, record.result.get("seconds")
    error = printable(record.result.get("error") or "")
    last = Cell(f"{record.name}: {error}" if error else record.name, record.name)
    return [Cell(str(record.seed), record.seed), Cell(record.state, record.state), *map(_number, numbers), last]


def _number(value: float | None) -> Cell:
    if value is None:
        return Cell("", None)
    return Cell(f"{value:,}" if isinstance(value, int) else f"{value:.4g}", value)


def _picture(path: Path) -> Picture:
    try:
        content = path.read_bytes()
    except OSError:  # it has gone since it was found; the page shows its name
        content = b""
    return Picture(printable(path), f"data:image/png;base64,{b64encode(content).decode()}")
