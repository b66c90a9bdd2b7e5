"""Define the keys of `report`, apart from the command: so its help loads no pydantic and answers at once."""

from typing import Annotated

from pydantic import BeforeValidator

from lightning_dl2.common.arguments import Arguments, Text, whole


def _two_keys(text: object) -> tuple[str, str]:
    match str(text).split(","):
        case [rows, columns] if rows and columns and rows != columns:
            return rows, columns
    raise ValueError("allowed: two different keys, ROWS,COLUMNS")


class ReportArguments(Arguments):
    out: Text = "report.html"
    details: Annotated[int, whole()] = 30
    over: Annotated[list[str], BeforeValidator(lambda text: text.split(","))] = ["seed"]
    matrix: Annotated[tuple[str, str] | None, BeforeValidator(_two_keys)] = None
    metric: Text | None = None
    solved: float | None = None
