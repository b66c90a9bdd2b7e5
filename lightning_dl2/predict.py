"""Predict: write the predictions of a run for each node, graph or sequence, as CSV.

    python -m lightning_dl2.predict run=DIR out=FILE [split=test|train|val|rest|all] [checkpoint=best|last|FILE]

The columns are id, split, target, prediction and, for a classification, the probability of each class. Generated
sequences have their input, too; answers at marked positions stand in one field, without probabilities. The split `rest`
holds the nodes or graphs in no split, such as nodes of unknown class; their target is empty. out=- writes to standard
output. data.path=PATH is the path of the run's graphs or sequences, if they have moved since the training.
"""

import csv
import sys
from io import StringIO
from pathlib import Path
from typing import Annotated

from pydantic import Field, PlainValidator

from lightning_dl2.common.arguments import Arguments, RunDirectory, Text, parse
from lightning_dl2.common.command import command, read_docstring
from lightning_dl2.common.paths import out_file, write_to
from lightning_dl2.inference.predict import predict


class PredictArguments(Arguments):
    run: RunDirectory
    out: Annotated[Path | None, PlainValidator(out_file)]  # None: standard output
    split: Text = "test"
    checkpoint: Text = "best"
    data_path: Text | None = Field(None, alias="data.path")


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return command(_main, argv, __doc__ or read_docstring(__file__))


def _main(argv: list[str]) -> int:
    arguments = parse(PredictArguments, argv)
    rows = predict(arguments.run, arguments.split, arguments.checkpoint, arguments.data_path)
    text = StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    if arguments.out is None:
        print(text.getvalue(), end="")
        return 0
    write_to(arguments.out, text.getvalue())
    print(f"{len(rows)} predictions of {arguments.run} ({arguments.checkpoint}): {arguments.out}", file=sys.stderr)
    print(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
