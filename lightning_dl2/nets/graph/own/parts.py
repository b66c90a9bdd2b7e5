"""Find, build and check a part of a graph network by its dotted path: a readout, an activation, a norm or a
decoder.

Each part computes once on a small graph before a run directory is made, so that a wrong shape costs no training.

Shapes: N nodes, B graphs, R rows, F features.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lightning_dl2.common.dotted import find_callable, parameters_of, place_of
from lightning_dl2.common.errors import UserError
from lightning_dl2.graphs import Graph
from lightning_dl2.nets.graph.own.libraries import DGLReadout, PyGReadout, library_of

NODES = 5  # of the small graph
SIZES = {  # arguments
    "layer": "(in_feats, out_feats)",
    "readout": "(feats)",
    "norm": "(feats)",
    "activation": "()",
    "decoder": "(feats, num_outputs)",
}
MODULE_CALL = nn.Module.__call__.__code__.co_filename  # torch's own file, from which it calls forward


def build_own_norm(path: str, feats: int) -> nn.Module:
    """Build the norm at a dotted path: constructor (feats), forward maps rows [R, F] to [R, F].

    Raises:
        UserError: there is no such class, it fails, or it normalises each graph of a batch by itself.
    """
    norm = build("norm", path, find("norm", path), feats)
    if parameters_of(norm.forward).keys() & {"batch", "graph", "g"}:
        raise UserError(f"task.norm={path}: reads the graph of each row; allowed: a norm of rows, forward(x)")
    check("norm", path, norm, rows(NODES, feats), wanted=[NODES, feats])
    return norm


def build_own_activation(path: str) -> Callable[[Tensor], Tensor]:
    """Return the function at a dotted path, or build the nn.Module there without arguments.

    Raises:
        UserError: there is no such function or class, or it fails, or returns another shape.
    """
    found = find("activation", path)
    activation = build("activation", path, found) if isinstance(found, type) else found
    check("activation", path, activation, rows(NODES, 3), wanted=[NODES, 3])
    return activation


def build_own_readout(path: str, feats: int) -> tuple[nn.Module, int]:
    """Build the readout at a dotted path: constructor (feats), forward(graph, x) maps [N, F] to [B, any number].

    An aggregation of PyG and a readout of dgl.nn are adapted. They get `feats` where an argument has no default.

    Returns:
        the readout, and the number of features that it returns.

    Raises:
        UserError: there is no such class, or it fails, or returns another shape.
    """
    kind = find("readout", path)
    sized = library_of(kind) is None or any(map(is_required, parameters_of(kind).values()))
    readout = build("readout", path, kind, *([feats] if sized else []))
    if library := library_of(kind) or library_of(type(readout)):
        readout = PyGReadout(readout) if library == "pyg" else DGLReadout(readout)
    y = check("readout", path, readout, example_graph(), rows(NODES, feats), wanted=[1, None])
    return readout, y.shape[1]


def build_own_decoder(path: str, feats: int, num_outputs: int) -> nn.Module:
    """Build the decoder of pairs at a dotted path: constructor (feats, num_outputs).

    Its forward maps the vectors of both ends, [M, feats] each, to [M, num_outputs].

    Raises:
        UserError: there is no such class, or it fails, or returns another shape.
    """
    decoder = build("decoder", path, find("decoder", path), feats, num_outputs)
    check("decoder", path, decoder, rows(NODES, feats), rows(NODES, feats).flip(0), wanted=[NODES, num_outputs])
    return decoder


def find(key: str, path: str) -> Callable[..., Any]:
    """Import what `task.<key>` names; raise UserError unless it is an nn.Module's class, or a function."""
    try:
        found = find_callable(path)
    except UserError as error:
        raise UserError(f"task.{key}={path}: {error}") from error
    if isinstance(found, type) and not issubclass(found, nn.Module):
        raise UserError(f"task.{key}={path}: is no torch.nn.Module; allowed: a subclass of it")
    return found


def build(key: str, path: str, kind: Callable[..., Any], *arguments: Any, **options: Any) -> nn.Module:
    """Call `kind`; raise UserError where it fails, or builds no nn.Module with all its parameters."""
    shown = ", ".join([*map(str, arguments), *(f"{name}={value}" for name, value in options.items())])
    try:
        built = kind(*arguments, **options)
    except Exception as error:  # of the user's code
        way = f"name a function of {SIZES[key]} that builds it"
        raise UserError(f"task.{key}={path}: the call with ({shown}) fails, {describe(error, way)}") from error
    if not isinstance(built, nn.Module):
        raise UserError(f"task.{key}={path}: returns a {type(built).__name__}; allowed: a torch.nn.Module")
    if any(map(is_lazy, built.parameters())):
        raise UserError(f"task.{key}={path}: has lazy parameters; fix: build them from the sizes that it is given")
    return built


def check(key: str, path: str, part: Any, *inputs: Any, wanted: list[int | None] | None) -> Any:
    """Return what a copy of `part` makes of `inputs`; raise UserError where it fails or the shape is not `wanted`.

    Args:
        wanted: sizes, None for any; None: the caller checks the result.
    """
    try:
        y = compute(part, *inputs)
    except Exception as error:  # of the user's code
        raise UserError(f"task.{key}={path}: forward fails on {_shown(inputs)}, {describe(error)}") from error
    if wanted is None:
        return y
    got = list(y.shape) if isinstance(y, Tensor) else f"a {type(y).__name__}"
    fits = isinstance(got, list) and len(got) == len(wanted)
    if not (fits and all(size in (None, each) for each, size in zip(got, wanted, strict=True))):
        form = ", ".join("any number" if size is None else str(size) for size in wanted)
        raise UserError(f"task.{key}={path}: forward returns {got} for {_shown(inputs)}; allowed: [{form}]")
    return y


def compute(part: Any, *inputs: Any) -> Any:
    """Compute in evaluation with a copy, so that buffers and caches of the run's own part stay as they are."""
    alone = deepcopy(part).eval() if isinstance(part, nn.Module) else part
    with torch.no_grad():
        return alone(*inputs)


def _shown(inputs: tuple[Any, ...]) -> str:
    return ", ".join(str(list(x.shape)) if isinstance(x, Tensor) else f"a graph of {NODES} nodes" for x in inputs)


def is_required(parameter: Any) -> bool:
    """Tell whether a parameter of a signature has no default."""
    return parameter.default is parameter.empty


def describe(error: Exception, way: str = "give it the signature that is wanted") -> str:
    """Describe an error of the user's code in one line, with its place; `way` is the fix where it has none."""
    lines, traceback = str(error).strip().splitlines(), error.__traceback__
    frames: list[Any] = []
    while traceback:
        frames.append(traceback)
        traceback = traceback.tb_next
    inside = frames and frames[-1].tb_frame.f_code.co_filename not in (__file__, MODULE_CALL)
    fix = f"{place_of(error)}; fix: correct it there" if inside else f"; fix: {way}"
    return f"{type(error).__name__}{f': {lines[0]}' if lines else ''}{fix}"


def example_graph() -> Graph:
    """Return a path of five nodes, with each edge in both directions."""
    one, other = torch.arange(NODES - 1), torch.arange(1, NODES)
    return Graph(torch.cat([one, other]), torch.cat([other, one]), NODES)


def rows(count: int, feats: int) -> Tensor:
    """Return numbers that differ, without a random draw: [count, feats]."""
    return torch.arange(count * feats).reshape(count, feats).to(torch.get_default_dtype()).sin()
