"""Define the arguments that several analyses share."""

from pathlib import Path
from typing import Annotated

from lightning_dl2.common.arguments import Arguments, Text, whole

NO_RUN = "none"


class AnalysisArguments(Arguments):
    """Hold the arguments of every analysis."""

    out: Path = Path("analysis")
    threads: Annotated[int, whole(1)] = 1


class RunArguments(AnalysisArguments):
    """Hold the arguments of an analysis that also reads finished runs."""

    run: Text = NO_RUN  # DIR[,DIR...]
    checkpoint: Text = "best"
