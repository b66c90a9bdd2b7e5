"""Define the keys of `report`, apart from the command: so its help loads no pydantic and answers at once."""

from typing import Annotated

from pydantic import BeforeValidator

from lightning_dl2.common.arguments import Arguments, Text, whole


class ReportArguments(Arguments):
    out: Text = "report.html"
    details: Annotated[int, whole()] = 30
    over: Annotated[list[str], BeforeValidator(lambda text: text.split(","))] = ["seed"]
