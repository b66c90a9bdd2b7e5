"""Train a rank that the first process of its machine has started: `python -m lightning_dl2.training.worker`.

The configuration, the overrides and the number of the first process come on standard input.
"""

import json
import sys
from typing import Any

from lightning_dl2.common.command import command
from lightning_dl2.common.system import die_with
from lightning_dl2.config.compose import validate
from lightning_dl2.training.outcome import run_and_report
from lightning_dl2.training.session import Session


def main() -> int:
    """Take part in the run; return the exit code."""
    work = json.load(sys.stdin)
    die_with(work["parent"])

    def run_rank(session: Session) -> tuple[dict[str, Any], dict[str, Any]]:
        from lightning_dl2.training import fit

        return fit.run_rank(session)

    def work_on(overrides: list[str]) -> int:
        return run_and_report(run_rank, Session.open(validate(work["config"], recorded=True), overrides))

    return command(work_on, work["overrides"])


if __name__ == "__main__":
    sys.exit(main())
