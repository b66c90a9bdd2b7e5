"""Find a cell by its name, and count the parameters of recurrent layers without building them."""

from collections.abc import Mapping
from math import prod
from typing import Any

import torch

from lightning_dl2.common.dotted import is_dotted
from lightning_dl2.common.errors import UserError
from lightning_dl2.nets.checks import check_choice
from lightning_dl2.nets.recurrent.cells import CELLS, CLASSIC, PEEPHOLES, PaperGRU
from lightning_dl2.nets.recurrent.own_cells import ModuleCell, load_own, state_shapes, weight_shapes

LARGE = 2**24  # weights of a gate
PARTS = {"weight_ih": "input", "weight_hh": "recurrent", "bias_ih": "biases", "bias_hh": "biases"}


def find_cell(cell: str | type | Mapping[str, Any], *, reset_after: bool = True, peephole: str = "gers") -> Any:
    """Return the class of the named equations, or what `own_cells.load_own` returns: a user's cell.

    The package's cells enter as a user's do, except those of CLASSIC, which torch.nn or `kernels` may have.

    Args:
        cell: one of CELLS, or what `load_own` takes.
        reset_after: of the GRU alone; False: the paper's form.
        peephole: of the peephole LSTM alone; one of PEEPHOLES.

    Raises:
        ValueError: an unknown `cell` or `peephole`.
        UserError: a user's cell is not found, or is no cell.
    """
    check_choice("peephole", peephole, PEEPHOLES)
    if not isinstance(cell, str) or is_dotted(cell):
        return load_own(cell)
    check_choice("cell", cell, CELLS)
    if cell == "gru" and not reset_after:
        return PaperGRU
    if cell == "peephole":
        return PEEPHOLES[peephole]
    return CELLS[cell] if cell in CLASSIC else load_own(CELLS[cell])


def check_cell_name(cell: str | Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Raise ValueError unless `cell` is one of `names`, or of the form that names a user's cell."""
    if isinstance(cell, str) and not is_dotted(cell):
        check_choice("cell", cell, names)


def count_parameters(
    cell: str | type | Mapping[str, Any],
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    *,
    bidirectional: bool = False,
    bias: bool = True,
    reset_after: bool = True,
    peephole: str = "gers",
) -> dict[str, int]:
    """Count the parameters of `Recurrent` without building it: {input, recurrent, biases, peepholes, total}.

    The full matrices from c of the assignment's peephole LSTM count as peepholes. So do weights of a user's cell that
    have other names than torch.nn's.

    Raises:
        ValueError: an unknown `cell` or `peephole`, or a user's cell that is none.
    """
    kind = find_cell(cell, reset_after=reset_after, peephole=peephole)
    num_directions = 2 if bidirectional else 1
    parts = {"input": 0, "recurrent": 0, "biases": 0, "peepholes": 0}
    features = input_size
    for layers in (1, num_layers - 1)[:num_layers]:
        shapes, output_size = layer_shapes(kind, features, hidden_size, bias)
        for name, shape in shapes.items():
            if bias or not name.startswith("bias"):
                parts[PARTS.get(name, "peepholes")] += num_directions * layers * prod(shape)
        features = num_directions * output_size
    return {**parts, "total": sum(parts.values())}


def layer_shapes(
    cell: Any, input_size: int, hidden_size: int, bias: bool = True
) -> tuple[dict[str, tuple[int, ...]], int]:
    """Return the shapes of the weights of one layer and direction, and the size of its output.

    Args:
        cell: what `find_cell` returns.
        bias: False: a module is built without biases; of a class of equations the shapes of all biases are returned.
    """
    if not isinstance(cell, ModuleCell):
        return weight_shapes(cell, input_size, hidden_size), state_shapes(cell, cell.state, hidden_size)["h"][0]
    with torch.random.fork_rng(devices=[]):
        module = _build_large(cell, input_size, hidden_size, bias) or cell.build(input_size, hidden_size, bias)
    shapes = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    return shapes, state_shapes(module, cell.state, hidden_size)["h"][0]


def _build_large(cell: ModuleCell, input_size: int, hidden_size: int, bias: bool) -> Any:
    """Build a large module without memory; None for a small one, which takes less time than loading "meta" does."""
    if hidden_size * (input_size + hidden_size) < LARGE:
        return None
    try:
        with torch.device("meta"):
            return cell.build(input_size, hidden_size, bias)
    except UserError:  # the constructor reads its weights, which are not there
        return None
