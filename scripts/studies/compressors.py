"""Compress the test split of a text by standard programs, alone and primed with the training split as a net is.

    python scripts/studies/compressors.py [data.name=python_docs] [data.path=FILE]

The output is in bits per character. PPMd, a context model, runs if the package pyppmd is installed.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from pydantic import Field  # noqa: E402

from lightning_dl2 import TextDataModule  # noqa: E402
from lightning_dl2.common.arguments import Arguments, Text, parse  # noqa: E402
from lightning_dl2.common.command import command, read_docstring  # noqa: E402

PPMD = {"max_order": 16, "mem_size": 256 << 20, "restore_method": 0}


class CompressorArguments(Arguments):
    name: Text = Field("python_docs", alias="data.name")
    path: Text | None = Field(None, alias="data.path")


def ppmd(text: bytes) -> int:
    """Count the bytes of `text`, compressed by PPMd, variant I."""
    import pyppmd

    encoder = pyppmd.Ppmd8Encoder(**PPMD)
    return len(encoder.encode(text)) + len(encoder.flush())


def _main(argv: list[str]) -> int:
    arguments = parse(CompressorArguments, argv)
    path = arguments.path
    # No net reads the windows, so their length does not matter.
    data = TextDataModule("text" if path else arguments.name, path, sequence_length=1, batch_size=1)
    sizes = {name: value for name, value in data.baselines().items() if name.startswith("bpc")}
    try:
        train, test = (data.vocabulary.decode(data.splits[split].tolist()).encode() for split in ("train", "test"))
        bits = 8 / len(data.splits["test"])
        sizes |= {"bpc_ppmd": bits * ppmd(test), "bpc_ppmd_primed": bits * (ppmd(train + test) - ppmd(train))}
    except ImportError:
        print("note: pyppmd is not installed", file=sys.stderr)
    for name, value in sizes.items():
        print(f"{name:16} {value:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(command(_main, None, __doc__ or read_docstring(__file__)))
