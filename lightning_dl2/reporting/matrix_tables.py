"""Write a matrix for the terminal, as Markdown and as CSV."""

from typing import Any

from rich.table import Table
from rich.text import Text

from lightning_dl2.common.files import csv_text
from lightning_dl2.common.statistics import MeanStd
from lightning_dl2.reporting.matrix import MARKS, Field, Matrix
from lightning_dl2.reporting.records import STATES, Record
from lightning_dl2.reporting.tables import inert, markdown_table


def headings(matrix: Matrix) -> list[str]:
    """Return the headings of the columns: the key of the rows, the columns, and the figure without a net, if any."""
    names = dict.fromkeys(name for name, _ in matrix.references.values())
    return [matrix.keys[0], *matrix.columns, *names]


def reference(matrix: Matrix, row: str, heading: str) -> str:
    """Return a row's figure without a net; empty where it has none of this name."""
    name, value = matrix.references.get(row, ("", 0.0))
    return f"{value:.3f}" if name == heading else ""


def lines(matrix: Matrix) -> list[list[str]]:
    """Return the texts of each row, its name first."""
    names = headings(matrix)[1 + len(matrix.columns) :]
    return [
        [
            row,
            *(_text(matrix, matrix.fields.get((row, column))) for column in matrix.columns),
            *(reference(matrix, row, name) for name in names),
        ]
        for row in matrix.rows
    ]


def _text(matrix: Matrix, field: Field | None) -> str:
    if field is None:
        return ""
    return " ".join(filter(None, [MARKS[matrix.verdict(field)], *matrix.texts(field)]))


def table(matrix: Matrix) -> Table:
    """Make a table for a terminal."""
    caption = "\n".join(matrix.remarks()) or None
    made = Table(title=matrix.title, title_justify="left", caption=caption, caption_justify="left")
    for number, heading in enumerate(headings(matrix)):
        made.add_column(heading, overflow="fold", justify="right" if number else "left")
    for line in lines(matrix):
        made.add_row(*map(Text, line))
    return made


def markdown(matrix: Matrix) -> str:
    """Write the matrix as a Markdown table below a heading."""
    parts = [f"## {matrix.title}\n", *(f"{remark}\n" for remark in matrix.remarks())]
    return "\n".join([*parts, markdown_table(headings(matrix), lines(matrix))])


def fields_csv(found: list[Matrix]) -> str:
    """Write a line for each field of all matrices: means and standard deviations over the completed runs."""
    made = []
    for matrix in found:
        for row in matrix.rows:
            for column in matrix.columns:
                if field := matrix.fields.get((row, column)):
                    made.append(_line(matrix, field))
    header = list(dict.fromkeys(key for line in made for key in line))
    body = ([inert("" if line.get(key) is None else line[key]) for key in header] for line in made)
    return csv_text([[inert(key) for key in header], *body])


def _line(matrix: Matrix, field: Field) -> dict[str, Any]:
    line: dict[str, Any] = {"rows": matrix.keys[0], "row": field.row, "columns": matrix.keys[1], "column": field.column}
    line |= {"metric": matrix.metric, "at least": matrix.solved, "solved": matrix.count_solved(field)}
    line |= {state: len(field.variant.with_state(state)) for state in STATES}
    completed = field.variant.completed
    values: dict[str, list[float | None]] = {
        "": [*field.values],
        **{f"{name} ": [fact(record, name) for record in completed] for name in FACTS},
    }
    values |= {f"{name} ": [record.metrics.get(name) for record in completed] for name in field.experiment.metrics}
    for name, each in values.items():
        spread = MeanStd.of(each)
        numbers = (spread.mean, spread.deviation, spread.n) if spread else (None, None, 0)
        line |= dict(zip((f"{name}mean", f"{name}std", f"{name}n"), numbers, strict=True))
    return line | {"experiment": field.experiment.name, "variant": field.variant.label, "other variants": field.others}


FACTS = ("steps", "seconds", "parameters")


def fact(record: Record, name: str) -> float | None:
    """Return one of FACTS of a run."""
    return record.steps if name == "steps" else record.result.get(name)
