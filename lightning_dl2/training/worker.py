"""What a process does that the first one of its machine has started: `python -m lightning_dl2.training.worker`.

The configuration, the words and the number of the first process come on standard input.
"""

import json
import sys
from functools import partial
from typing import Any

from lightning_dl2.common.command import command
from lightning_dl2.common.system import die_with
from lightning_dl2.config.compose import validate
from lightning_dl2.config.schema import Config
from lightning_dl2.distributed.launch import launched
from lightning_dl2.run.directory import Run
from lightning_dl2.training.outcome import run_and_report


def follow() -> int:
    """Takes part in the run; returns the exit code."""
    told = json.load(sys.stdin)
    die_with(told["parent"])

    def train(config: Config, words: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
        from lightning_dl2.training.fit import run_rank

        return run_rank(config, Run.of(config), words, launched())

    return command(partial(run_and_report, train, validate(told["config"])), told["words"])


if __name__ == "__main__":
    sys.exit(follow())
