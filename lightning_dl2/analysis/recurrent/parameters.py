"""Count the parameters of a recurrent classifier for every cell, part by part, by formula and as built.

A layer with G gates, H units and D inputs has G (H H + H D + H) parameters: G is 1 in the plain RNN, 3 in the GRU and 4
in the LSTM. torch.nn's RNN, GRU and LSTM have a second bias of G H. Gers' peepholes add 3 H; the course's have 3 H H in
place of the LSTM's 4 H H. The output layer has H C, and C more with a bias. Two directions double all but the output's
bias, and a layer above the first reads both of them, D = 2 H.

`parameters.csv` and the table: the count by part, `textbook` (one bias, no output bias), `total`, and `built`, the
count of the module. `parameters.png`: the total against H, and the recurrent layers in units of H H.
    vocabulary  number of tokens
    embedding   size of the embedding; none: tokens enter one-hot
    hidden      H, units per layer and direction
    classes     C, number of classes
    layers      number of layers
    directions  1 | 2; bilstm always has two
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from rich.table import Column, Table

from lightning_dl2.analysis.arguments import AnalysisArguments
from lightning_dl2.common.arguments import whole
from lightning_dl2.common.figures import COLOURS, MARKERS, new_figure, save, write_csv
from lightning_dl2.nets import RecurrentClassifier, count_parameters
from lightning_dl2.nets.recurrent.layers import FUSED
from lightning_dl2.nets.recurrent.lookup import find_cell

MOST = 10**7  # units; torch cannot count the bytes of much larger matrices
CELLS: dict[str, dict[str, Any]] = {
    "rnn": {"cell": "rnn"},
    "gru": {"cell": "gru"},
    "gru, reset before": {"cell": "gru", "reset_after": False},
    "lstm": {"cell": "lstm"},
    "peephole, gers": {"cell": "peephole", "peephole": "gers"},
    "peephole, assignment": {"cell": "peephole", "peephole": "assignment"},
    "bilstm": {"cell": "lstm", "bidirectional": True},
}
RECURRENT = ("input", "recurrent", "peepholes", "biases", "second biases")
PARTS = ("embedding", *RECURRENT, "output", "output bias")
PART_OF = {  # by a parameter's name without its layer's number
    "embedding.weight": "embedding",
    "weight_ih": "input",
    "weight_hh": "recurrent",
    "weight_ch": "peepholes",
    "peephole": "peepholes",
    "bias_ih": "biases",
    "bias_hh": "second biases",
    "output.weight": "output",
    "output.bias": "output bias",
}
SIZES = tuple(2**power for power in range(2, 11))


class Arguments(AnalysisArguments):
    vocabulary: Annotated[int, whole(1, MOST)] = 10
    embedding: Annotated[int, whole(1, MOST)] | Literal["none"] = "none"
    hidden: Annotated[int, whole(1, MOST)] = 128
    classes: Annotated[int, whole(1, MOST)] = 10
    layers: Annotated[int, whole(1)] = 1
    directions: Annotated[int, whole(1, 2)] = 1


def count_by_formula(
    vocabulary_size: int,
    num_classes: int,
    *,
    hidden_size: int,
    embedding_size: int | None = None,
    output_bias: bool = True,
    cell: str = "lstm",
    **options: Any,
) -> dict[str, int]:
    """Count the parameters of a RecurrentClassifier by PARTS from the formulas.

    Args:
        embedding_size: None for one-hot tokens. The other arguments are those of RecurrentClassifier.

    Raises:
        ValueError: `cell` or `peephole` is unknown.
    """
    counted = count_parameters(cell, embedding_size or vocabulary_size, hidden_size, **options)
    form = {key: options[key] for key in ("reset_after", "peephole") if key in options}
    second = counted["biases"] // 2 if find_cell(cell, **form) in FUSED else 0
    return {
        "embedding": vocabulary_size * (embedding_size or 0),
        **{part: counted[part] for part in ("input", "recurrent", "peepholes")},
        "biases": counted["biases"] - second,
        "second biases": second,
        "output": (2 if options.get("bidirectional") else 1) * hidden_size * num_classes,
        "output bias": num_classes * output_bias,
    }


def count_built(net: RecurrentClassifier) -> dict[str, int]:
    """Count the parameters of `net` by PARTS.

    Raises:
        KeyError: a parameter belongs to no part.
    """
    parts = dict.fromkeys(PARTS, 0)
    for name, parameter in net.named_parameters():
        parts[PART_OF[name.removeprefix("recurrent.core.").partition("_l")[0]]] += parameter.numel()
    return parts


def count_textbook(parts: dict[str, int]) -> int:
    """Return the count with one bias per gate and no output bias."""
    return sum(parts.values()) - parts["second biases"] - parts["output bias"]


def analyze(out: Path, arguments: Arguments) -> Table:
    """Write the figure and the numbers; return a table of the counts."""
    sizes = {
        "vocabulary_size": arguments.vocabulary,
        "num_classes": arguments.classes,
        "hidden_size": arguments.hidden,
        "num_layers": arguments.layers,
        "bidirectional": arguments.directions == 2,
        "embedding_size": None if arguments.embedding == "none" else arguments.embedding,
    }
    rows: list[list[Any]] = []
    for name, options in CELLS.items():
        sized = sizes | options
        encoding = "embedding" if sizes["embedding_size"] else "one_hot"
        parts = count_by_formula(**sized)
        with torch.device("meta"):  # shapes without memory
            built = sum(count_built(RecurrentClassifier(**sized, encoding=encoding)).values())
        rows.append([name, *parts.values(), count_textbook(parts), sum(parts.values()), built])
    header = ["cell", *PARTS, "textbook", "total", "built"]
    write_csv(out / "parameters.csv", [name.replace(" ", "_") for name in header], rows)
    _draw(out, sizes)

    table = Table(*(Column(name, justify="left" if name == "cell" else "right") for name in header))
    for name, *numbers in rows:
        table.add_row(name, *(f"{number:,}" for number in numbers))
    return table


def _draw(out: Path, sizes: dict[str, Any]) -> None:
    figure = new_figure(2)
    left, right = figure.subplots(1, 2)
    rows = []
    for number, (name, options) in enumerate(CELLS.items()):
        totals, shares = [], []
        for hidden in SIZES:
            parts = count_by_formula(**(sizes | options | {"hidden_size": hidden}))
            totals.append(sum(parts.values()))
            shares.append(sum(parts[part] for part in RECURRENT) / hidden**2)
            rows.append([name, hidden, totals[-1], shares[-1]])
        style = {"color": COLOURS[number], "marker": MARKERS[number], "markersize": 4, "linewidth": 1.2}
        style["linestyle"] = "--" if "," in name else "-"  # such lines lie on others
        left.plot(SIZES, totals, **style, label=name)
        right.plot(SIZES, shares, **style, label=name)
    left.set(ylabel="parameters of the net")
    right.set(ylabel="parameters of the recurrent layers / H²")
    for axes in (left, right):
        axes.set(xlabel="H, units a layer and direction", yscale="log")
        axes.set_xscale("log", base=2)
        axes.set_xticks(SIZES, [str(size) for size in SIZES])
        axes.grid(alpha=0.3)
    ticks = (1, 2, 3, 4, 6, 8, 16, 32)
    right.set_yticks(ticks, [str(tick) for tick in ticks])
    right.minorticks_off()
    left.legend(frameon=False, fontsize="small")
    save(figure, out / "parameters.png")
    write_csv(out / "against_hidden.csv", ["cell", "hidden", "total", "recurrent_over_hidden_squared"], rows)
