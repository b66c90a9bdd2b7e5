"""Analyze: the theory, executed: figures, the numbers behind them, and a table.

    python -m lightning_dl2.analyze WHAT [out=analysis] [threads=1] [key=value ...]

WHAT is one of:
    bptt        gradients by hand: what reaches the weights from each step back, vanishing and exploding
    gradients   the gradient of the loss in h(t) and c(t), cell by cell, untrained or of a run
    gates       what the gates of a trained run do to a sequence
    parameters  how many parameters a net has, by formula and as built
    memory      accuracy against length, at and beyond the training length
    graphs      how a graph network spreads what it knows, and what depth does to it
    WHAT --help prints its keys; gradients, gates and memory have run=DIR, a run of your own

The last line of standard output is the directory with the figures (PNG) and the numbers behind them (CSV).
"""

import sys
from importlib import import_module
from pathlib import Path

from lightning_dl2 import cpu
from lightning_dl2.cli import UserError, command, console, nearest, settings
from lightning_dl2.values import natural, out_directory

WHAT = ("bptt", "gradients", "gates", "parameters", "memory", "graphs")


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return command(_main, argv)


def _main(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h"):
        print(__doc__.strip())
        return 0
    what, *rest = words
    if what not in WHAT:
        raise UserError(f"{what}: {nearest(what, list(WHAT))}")
    module = import_module(f"lightning_dl2.analysis.{what}")
    if "--help" in rest or "-h" in rest:
        print(module.__doc__.strip())
        print("\nKeys, with their defaults:", " ".join(f"{key}={value}" for key, value in module.KEYS.items()))
        return 0
    values = settings(rest, out="analysis", threads="1", **module.KEYS)
    threads = natural(values, "threads", least=1)
    out = Path(values.pop("out")) / what
    del values["threads"]
    # The nets are small: more threads gain little, and beside a busy neighbour they take 20 times as long.
    cpu.set_num_threads(threads)
    with out_directory(out):
        console().print(module.analyze(out, values))
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
