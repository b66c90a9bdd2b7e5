"""Predict: write the predictions of a run for each node, graph or sequence, as CSV.

    python -m lightning_dl2.predict run=DIR out=FILE [split=test|train|val|rest|all] [checkpoint=best|last|FILE]
                                    [embeddings=FILE] [attention=FILE] [pairs=FILE]

The columns are id, split, target, prediction and, for a classification, the probability of each class. Generated
sequences have their input, too; answers at marked positions stand in one field, without probabilities. The split `rest`
holds the nodes or graphs in no split, such as nodes of unknown class; their target is empty. out=- writes to standard
output. data.path=PATH is the path of the run's graphs or sequences, if they have moved since the training, or of
other graphs with the same columns, which need neither labels nor a split; all of them are predicted.

Of a run of data.level=link or edge, pairs=FILE names a .csv file of pairs of nodes, by their ids, with the columns src
and dst; these are predicted, and no split. The target is 1 for an edge of the graph and 0 for another pair, or the
label of an edge.

Of a graph net, embeddings=FILE gets the features that the output layer reads, a row for each prediction; without an
output layer, those that the last convolution reads. attention=FILE gets the weights of gat and gatv2 for each edge,
layer and head. Each is a .csv or a .npz file; out may then be left out.
"""

import csv
import sys
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Annotated

from pydantic import Field, PlainValidator, model_validator

from lightning_dl2.common.arguments import Arguments, RunDirectory, Text, parse
from lightning_dl2.common.command import command, read_docstring
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.paths import out_file, out_table, write_to
from lightning_dl2.inference.predict import predict


class PredictArguments(Arguments):
    run: RunDirectory
    out: Annotated[Path | None, PlainValidator(out_file)] = None  # None: standard output, unless it is not given
    split: Text = "auto"
    checkpoint: Text = "best"
    data_path: Text | None = Field(None, alias="data.path")
    embeddings: Annotated[Path | None, PlainValidator(partial(out_table, "embeddings"))] = None
    attention: Annotated[Path | None, PlainValidator(partial(out_table, "attention"))] = None
    pairs: Text | None = None

    @model_validator(mode="after")
    def something_is_written(self) -> "PredictArguments":
        if not self.has_out and not self.others:
            raise UserError("out=VALUE: is missing; allowed: a file, or - for standard output")
        return self

    @property
    def has_out(self) -> bool:
        """Tell whether the predictions are written."""
        return "out" in self.model_fields_set

    @property
    def others(self) -> dict[str, Path]:
        """Map the keys of the other files to their paths."""
        found = {"embeddings": self.embeddings, "attention": self.attention}
        return {key: path for key, path in found.items() if path is not None}


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return command(_main, argv, __doc__ or read_docstring(__file__))


def _main(argv: list[str]) -> int:
    arguments = parse(PredictArguments, argv)
    words = arguments.run, arguments.split, arguments.checkpoint, arguments.data_path
    rows = predict(*words, embeddings=arguments.embeddings, attention=arguments.attention, pairs=arguments.pairs)
    for key, path in arguments.others.items():
        print(f"{key} of {arguments.run} ({arguments.checkpoint}): {path}", file=sys.stderr)
    if not arguments.has_out:
        print("\n".join(map(str, arguments.others.values())))
        return 0
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
