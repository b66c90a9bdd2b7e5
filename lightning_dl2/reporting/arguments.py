"""Name the keys of the command `report`."""

from typing import Annotated

from pydantic import BeforeValidator

from lightning_dl2.common.arguments import Arguments, Text, whole


class ReportArguments(Arguments):
    """Hold the arguments of `report`, its directories aside."""

    out: Text = "report.html"
    details: Annotated[int, whole()] = 30
    over: Annotated[list[str], BeforeValidator(lambda text: text.split(","))] = ["seed"]
