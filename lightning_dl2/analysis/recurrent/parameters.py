"""Count the parameters of a recurrent classifier for every cell, part by part, by formula and as built.

The table lists all cells of the package, and yours if `cell` names it. `formula` is that of the first layer, in one
direction: D is the size of its input, H the units.

A layer with G gates, H units and D inputs has G (H H + H D + H) parameters: G is 1 in the plain RNN, 3 in the GRU and 4
in the LSTM. torch.nn's RNN, GRU and LSTM have a second bias of G H. Gers' peepholes add 3 H; the course's have 3 H H in
place of the LSTM's 4 H H. The output layer has H C, and C more with a bias. Two directions double all but the output's
bias, and a layer above the first reads both of them, D = 2 H.

`parameters.csv`: the count by part, `textbook` (one bias, no output bias), `total`, `built`, the count of the module,
and the formula. `parameters.png`: the first layer of every cell, by part. `against_hidden.png`: the total against H,
and the recurrent layers in units of H H, for the cells of the course.
    cell        dotted path of a cell of your own; none: the cells of the package alone
    vocabulary  number of tokens
    embedding   size of the embedding; none: tokens enter one-hot
    hidden      H, units per layer and direction
    classes     C, number of classes
    layers      number of layers
    directions  1 | 2; bilstm always has two
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from rich.table import Column, Table

from lightning_dl2.analysis.arguments import AnalysisArguments
from lightning_dl2.analysis.recurrent.parameter_formula import derive_formula, write_formula
from lightning_dl2.common.arguments import Text, whole
from lightning_dl2.common.dotted import is_dotted
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.figures import COLOURS, MARKERS, new_figure, save, write_csv
from lightning_dl2.nets import CELLS as NAMES
from lightning_dl2.nets import RecurrentClassifier, count_parameters
from lightning_dl2.nets.recurrent.cells import CLASSIC
from lightning_dl2.nets.recurrent.kernels import FUSED
from lightning_dl2.nets.recurrent.lookup import LARGE, find_cell
from lightning_dl2.nets.recurrent.own_cells import ModuleCell

MOST = 10**7  # units; torch cannot count the bytes of much larger matrices
COURSE: dict[str, dict[str, Any]] = {
    "rnn": {"cell": "rnn"},
    "gru": {"cell": "gru"},
    "gru, reset before": {"cell": "gru", "reset_after": False},
    "lstm": {"cell": "lstm"},
    "peephole, gers": {"cell": "peephole", "peephole": "gers"},
    "peephole, assignment": {"cell": "peephole", "peephole": "assignment"},
    "bilstm": {"cell": "lstm", "bidirectional": True},
}
CELLS = COURSE | {name: {"cell": name} for name in NAMES if name not in CLASSIC}
RECURRENT = ("input", "recurrent", "peepholes", "others", "biases", "second biases")
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
}  # a weight of another name is one of the others
LAYER = re.compile(r"_l\d+(_reverse)?$")  # the suffix of a weight's name
FORMS = {"reset_after", "peephole"}  # options that choose the equations
WORDS = {"input": "from the input", "recurrent": "from the state", "others": "other weights"}
SIZES = tuple(2**power for power in range(2, 11))


class Arguments(AnalysisArguments):
    cell: Text = "none"
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
    form = {key: options[key] for key in FORMS & options.keys()}
    second = counted["biases"] // 2 if find_cell(cell, **form) in FUSED else 0
    beside = "peepholes" if cell in CLASSIC else "others"
    return {
        "embedding": vocabulary_size * (embedding_size or 0),
        **{part: counted[part] for part in ("input", "recurrent")},
        **{part: counted["peepholes"] * (part == beside) for part in ("peepholes", "others")},
        "biases": counted["biases"] - second,
        "second biases": second,
        "output": (2 if options.get("bidirectional") else 1) * hidden_size * num_classes,
        "output bias": num_classes * output_bias,
    }


def count_built(net: RecurrentClassifier) -> dict[str, int]:
    """Count the parameters of `net` by PARTS."""
    parts = dict.fromkeys(PARTS, 0)
    for name, parameter in net.named_parameters():
        parts[PART_OF.get(LAYER.sub("", name.removeprefix("recurrent.core.")), "others")] += parameter.numel()
    return parts


def count_textbook(parts: dict[str, int]) -> int:
    """Return the count with one bias per gate and no output bias."""
    return sum(parts.values()) - parts["second biases"] - parts["output bias"]


def analyze(out: Path, arguments: Arguments) -> Table:
    """Write the figures and the numbers; return a table of the counts.

    Raises:
        UserError: `cell` names no cell, or the cell fails.
    """
    sizes = {
        "vocabulary_size": arguments.vocabulary,
        "num_classes": arguments.classes,
        "hidden_size": arguments.hidden,
        "num_layers": arguments.layers,
        "bidirectional": arguments.directions == 2,
        "embedding_size": None if arguments.embedding == "none" else arguments.embedding,
    }
    encoding = "embedding" if sizes["embedding_size"] else "one_hot"
    layers, rows = {}, []
    for name, options in (CELLS | _find_own(arguments.cell)).items():
        sized = sizes | options
        kind = find_cell(options["cell"], **{key: options[key] for key in FORMS & options.keys()})
        parts = count_by_formula(**sized)
        # Shapes without memory. Loading "meta" takes longer than a small net, and a module may read its weights.
        is_small = arguments.hidden * (arguments.hidden + _input_size(arguments)) < LARGE
        with torch.device("cpu" if is_small or isinstance(kind, ModuleCell) else "meta"):
            built = sum(count_built(RecurrentClassifier(**sized, encoding=encoding)).values())
        formula = write_formula(derive_formula(kind, _input_size(arguments), arguments.hidden))
        layers[name] = count_by_formula(**sized | {"num_layers": 1, "bidirectional": False}), formula
        rows.append([name, *parts.values(), count_textbook(parts), sum(parts.values()), built, formula])
    header = ["cell", *PARTS, "textbook", "total", "built", "formula"]
    write_csv(out / "parameters.csv", [name.replace(" ", "_") for name in header], rows)
    _draw_cells(out, layers, arguments)
    _draw_against_hidden(out, sizes)

    shown = [name for place, name in enumerate(header) if name not in PARTS or any(row[place] for row in rows)]
    table = Table(*(Column(name, justify="left" if name in ("cell", "formula") else "right") for name in shown))
    for row in rows:
        values = dict(zip(header, row, strict=True))
        table.add_row(*(f"{values[name]:,}" if isinstance(values[name], int) else str(values[name]) for name in shown))
    return table


def _find_own(cell: str) -> dict[str, dict[str, Any]]:
    """Return the options of a user's cell by its name."""
    if cell == "none":
        return {}
    if not is_dotted(cell):
        raise UserError(
            f"cell={cell}: allowed: none, or the dotted path of a cell of your own; others are listed anyway"
        )
    return {cell.rpartition(".")[2]: {"cell": cell}}


def _draw_cells(out: Path, layers: dict[str, tuple[dict[str, int], str]], arguments: Arguments) -> None:
    """Draw the parts of one layer of each cell as a bar, with the formula beside it."""
    names = sorted((name for name in layers if name != "bilstm"), key=lambda name: _count_layer(layers[name][0]))
    figure = new_figure(width=9.0, height=0.28 * len(names) + 1.4)
    axes = figure.subplots()
    left, unit = [0.0] * len(names), arguments.hidden**2
    for number, part in enumerate(RECURRENT):
        sizes = [layers[name][0][part] / unit for name in names]
        axes.barh(names, sizes, 0.7, left, color=COLOURS[number], label=WORDS.get(part, part))
        left = [end + size for end, size in zip(left, sizes, strict=True)]
    for place, name in enumerate(names):
        axes.text(left[place], place, f"  {layers[name][1]}", va="center", fontsize="small")
    axes.set(xlim=(0, 1.45 * max(left)), xlabel="parameters of the first layer, in one direction / H²")
    axes.set_title(f"H = {arguments.hidden} units, inputs of D = {_input_size(arguments)}", fontsize="medium")
    axes.legend(frameon=False, fontsize="small", loc="lower right")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    save(figure, out / "parameters.png")


def _input_size(arguments: Arguments) -> int:
    return arguments.vocabulary if arguments.embedding == "none" else arguments.embedding


def _count_layer(parts: dict[str, int]) -> int:
    return sum(parts[part] for part in RECURRENT)


def _draw_against_hidden(out: Path, sizes: dict[str, Any]) -> None:
    figure = new_figure(2)
    left, right = figure.subplots(1, 2)
    rows = []
    for number, (name, options) in enumerate(COURSE.items()):
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
    save(figure, out / "against_hidden.png")
    write_csv(out / "against_hidden.csv", ["cell", "hidden", "total", "recurrent_over_hidden_squared"], rows)
