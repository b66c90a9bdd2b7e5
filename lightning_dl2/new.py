"""Write a project of your own: data, net, callback, cell, configuration and test.

    python -m lightning_dl2.new NAME

The new directory NAME is complete: its README lists the commands. Change its
files into your experiment; nothing in lightning_dl2 needs an edit.
"""

import sys
from pathlib import Path

from lightning_dl2.common.command import command, read_docstring
from lightning_dl2.common.errors import UserError
from lightning_dl2.scaffold.write import write_project


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return command(_main, argv, __doc__ or read_docstring(__file__))


def _main(argv: list[str]) -> int:
    if len(argv) != 1:
        raise UserError(f"new: {len(argv)} arguments; allowed: one name, as in python -m lightning_dl2.new digits")
    (name,) = argv
    write_project(name, Path.cwd())
    print(
        f"cd {name}\npython -m lightning_dl2.train --config-dir conf experiment={name}",
        f"# README.md in {name}/ lists the other commands",
        sep="\n",
        file=sys.stderr,
    )
    print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
