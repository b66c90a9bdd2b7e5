"""Predict: what a graph run answers for each node or graph, as CSV.

    python -m lightning_dl2.predict run=DIR out=FILE [split=test|train|val|rest|all] [checkpoint=best|last|FILE]

Columns: id, split, target, prediction, and of classes the probability of each. The rest are those in no split, such as
nodes whose class is unknown: their target is empty. out=- writes to standard output. data.path=PATH: where the run's
graphs are now, if no longer where its configuration says.
"""

import csv
import sys
from io import StringIO

from lightning_dl2.common.arguments import out_file, write_to
from lightning_dl2.common.command import command, doc_of, settings
from lightning_dl2.inference.predict import predict


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return command(_main, argv, __doc__ or doc_of(__file__))


def _main(words: list[str]) -> int:
    values = settings(words, run="", out="", split="test", checkpoint="best", **{"data.path": None})
    out = out_file(values["out"])
    rows = predict(values["run"], values["split"], values["checkpoint"], values["data.path"])
    text = StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    if out is None:
        print(text.getvalue(), end="")
        return 0
    write_to(out, text.getvalue())
    print(f"{len(rows)} predictions of {values['run']} ({values['checkpoint']}): {out}", file=sys.stderr)
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
