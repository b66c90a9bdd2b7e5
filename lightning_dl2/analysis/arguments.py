"""Define the arguments that several analyses share."""

from pathlib import Path
from typing import Annotated

from lightning_dl2.common.arguments import AnyPath, Arguments, Text, whole

NO_RUN = "none"


class AnalysisArguments(Arguments):
    out: AnyPath = Path("analysis")
    threads: Annotated[int, whole(1)] = 1


class RunArguments(AnalysisArguments):
    run: Text = NO_RUN  # DIR[,DIR...]
    checkpoint: Text = "best"
