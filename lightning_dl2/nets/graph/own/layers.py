"""Use a class of the user's own, by its dotted path, as the layer of a graph network.

A layer is an nn.Module with the constructor (in_feats, out_feats) and forward(graph, x, e=None): features [S, I] of a
`Graph` -> [N, O]. The constructor gets those of `Options` that its signature names. The class may declare:

- attention: it has heads. Default: the constructor takes `heads`.
- reads_edges: forward gets the edges' features e, [E, G]. Default: the constructor takes `edge_feats`.
- self_loops: the net adds a self-loop to each node, unless task.self_loops says otherwise.
- reads_weights: it reads graph.edata["edge_weight"], [E], where edges have weights.
- reads_relations: it reads graph.edata["types"], [E], as relations; the constructor may take `num_relations`.
- edge_states: forward returns ([N, O], [E, O]), as `GatedGCNConv` does, and `edges` returns the latter.
- reads_initial: forward(graph, x, x0) gets the first layer's input, too, as `GCNIIConv` does.
- takes_sparse: x may be a SparseMatrix. Default: x is made dense.
- graph_format: "dgl", for forward(g, x) with a DGLGraph, or "pyg", for forward(x, edge_index). Convolutions of dgl.nn
  and PyG's MessagePassing need no such attribute.

Shapes: S sources, N destination nodes, E edges, I in_feats, O out_feats, G edge_feats.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dl2.common.dotted import is_dotted, parameters_of
from lightning_dl2.common.errors import UserError
from lightning_dl2.graphs import Graph
from lightning_dl2.nets.graph.layers import LAYERS, Layer, Options
from lightning_dl2.nets.graph.own.libraries import DGLConv, PyGConv, library_of
from lightning_dl2.nets.graph.own.parts import (
    NODES,
    build,
    check,
    compute,
    describe,
    example_graph,
    find,
    is_required,
    rows,
)

# The names by which a constructor may take an option: this package's, then DGL's and PyG's.
HEADS, EDGE_FEATS = ("heads", "num_heads"), ("edge_feats", "edge_dim")
ALIASES = {"heads": HEADS, "edge_feats": EDGE_FEATS, "attention_dropout": ("attention_dropout", "attn_drop")}


def find_layer(name: str) -> Layer:
    """Return the entry of LAYERS with a short name, or make one for the class at a dotted path.

    Raises:
        UserError: there is no such class. The entry's `build` raises it where the class fails on a small graph, or
            returns another shape.
    """
    if not is_dotted(name):
        return LAYERS[name]
    kind = find("layer", name)
    takes = parameters_of(kind).keys()
    edge_states = bool(getattr(kind, "edge_states", False))

    def build_checked(in_feats: int, out_feats: int, options: Options) -> nn.Module:
        layer = _build(name, kind, in_feats, out_feats, options)
        _check(name, layer, entry, in_feats, out_feats, options.edge_feats)
        return layer

    entry = Layer(
        build_checked,
        attention=bool(getattr(kind, "attention", takes & {*HEADS})),
        self_loops=bool(getattr(kind, "self_loops", False)),
        edges=bool(getattr(kind, "reads_edges", edge_states or takes & {*EDGE_FEATS})),
        weights="given" if getattr(kind, "reads_weights", False) else None,
        edge_states=edge_states,
        initial=bool(getattr(kind, "reads_initial", False)),
        sparse=bool(getattr(kind, "takes_sparse", False)),
        lookup=False,
        relations=bool(getattr(kind, "reads_relations", False)),
    )
    return entry


def _build(path: str, kind: Callable[..., Any], in_feats: int, out_feats: int, options: Options) -> nn.Module:
    library, parameters = library_of(kind), parameters_of(kind)
    given: dict[str, Any] = {}
    for option, value in asdict(options).items():
        # A library means something else by `norm` or `alpha`.
        names = ALIASES.get(option, (option,) if library is None or option == "concat" else ())
        for name in names:
            if name in parameters and (option != "edge_feats" or value or is_required(parameters[name])):
                given[name] = value
    size, heads = out_feats, options.heads if library and parameters.keys() & {*HEADS} else 1
    if heads > 1 and options.concat:  # a library's out_feats are those of one head
        if out_feats % heads:
            raise ValueError(f"heads is {heads}; it must divide the {out_feats} features that the heads share")
        size = out_feats // heads
    if library == "dgl" and "allow_zero_in_degree" in parameters:
        given["allow_zero_in_degree"] = True  # a graph may have isolated nodes; DGL's layers give them zeros
    if {"in_feats", "out_feats"} <= parameters.keys():  # other sizes may stand between them
        layer = build("layer", path, kind, in_feats=in_feats, out_feats=size, **given)
    else:
        layer = build("layer", path, kind, in_feats, size, **given)
    library = library or library_of(type(layer))  # what a function builds may be of a library, too
    if library is None:
        return layer
    return PyGConv(layer) if library == "pyg" else DGLConv(layer, concat=options.concat)


def _check(path: str, layer: nn.Module, entry: Layer, in_feats: int, out_feats: int, edge_feats: int) -> None:
    """Raise UserError unless the layer maps a small graph's features to those of the right sizes."""
    graph = _example(entry)
    x, e = rows(NODES, in_feats), rows(graph.num_edges, edge_feats)
    inputs = _inputs(entry, graph, x, e, x)
    if not entry.edge_states:
        check("layer", path, layer, *inputs, wanted=[NODES, out_feats])
        return
    y = check("layer", path, layer, *inputs, wanted=None)
    shapes = [list(part.shape) for part in y] if isinstance(y, tuple) else f"a {type(y).__name__}"
    if shapes != (wanted := [[NODES, out_feats], [graph.num_edges, out_feats]]):
        raise UserError(f"task.layer={path}: with edge_states forward returns {shapes}; allowed: {wanted}")


def block_problem(layer: nn.Module, entry: Layer, in_feats: int, edge_feats: int, *, exact: bool) -> str | None:
    """Say what is wrong with a layer's output for a part of a graph, the in-edges of some nodes; None: nothing.

    Args:
        in_feats, edge_feats: sizes that it was built for.
        exact: whether the features must be those that the nodes have in the whole graph.
    """
    graph = _example(entry)
    block, sources, edges = graph.in_block(1, 3)
    x, e = rows(NODES, in_feats), rows(graph.num_edges, edge_feats)
    try:
        wanted = _nodes(compute(layer, *_inputs(entry, graph, x, e, x)))[1:3]
        found = _nodes(compute(layer, *_inputs(entry, block, x[sources], e[edges], x[1:3])))
    except Exception as error:  # of the user's code
        return f"fails on a part of a graph, {describe(error)}"
    if found.shape != wanted.shape:
        return f"returns {list(found.shape)} for a part of a graph with {block.num_src} sources and 2 destinations"
    if exact and not torch.allclose(found, wanted, rtol=1e-3, atol=1e-5):  # two orders of a sum differ less
        return "gives a node other features in a part of a graph than in the whole graph"
    return None


def _example(entry: Layer) -> Graph:
    graph = example_graph()
    return graph.with_self_loops() if entry.self_loops else graph


def _inputs(entry: Layer, graph: Graph, x: Tensor, e: Tensor, x0: Tensor) -> tuple[Any, ...]:
    """Return the arguments that `GraphLayer` gives."""
    if entry.initial:
        return graph, x, x0
    return (graph, x, e) if entry.edges and e.shape[1] else (graph, x)


def _nodes(y: Any) -> Tensor:
    return y[0] if isinstance(y, tuple) else y
