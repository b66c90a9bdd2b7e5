"""Checks that graph nets compute on a device what they compute on the CPU: layers, primitives, sparse products."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dl2.graphs import Graph, SparseMatrix, edge_softmax, sddmm, segment_readout, spmm
from lightning_dl2.graphs.choose_engine import dgl_obstacle
from lightning_dl2.graphs.primitives import OPS, REDUCES
from lightning_dl2.nets import GraphNetwork
from lightning_dl2.nets.graph.layers import LAYERS
from lightning_dl2.nets.graph.norms import NORMS
from lightning_dl2.nets.graph.readouts import READOUTS
from scripts.gpu.checklist import Broken, Check, NotTried, Passed, Setting
from scripts.gpu.compare import REPEATS, TOLERANCES, compare, compare_repeats, deterministic, difference, seeded


def graph(num_nodes: int, num_edges: int, dtype: torch.dtype, device: torch.device | str) -> Graph:
    """Return a batch of five graphs, one without nodes and one without edges; node 0 has a third of all edges."""
    generator = torch.Generator().manual_seed(3)
    first = num_nodes // 4
    src = torch.randint(0, first, (num_edges,), generator=generator)
    dst = torch.randint(0, first, (num_edges,), generator=generator)
    dst[: num_edges // 3] = 0
    owner = torch.randint(0, 3, (num_edges,), generator=generator) * first
    sizes = torch.tensor([first, first, 0, first, num_nodes - 3 * first])
    features = torch.randn(num_nodes, 8, generator=generator, dtype=torch.float64)
    edges = torch.randn(num_edges, 3, generator=generator, dtype=torch.float64)
    made = Graph(src + owner, dst + owner, num_nodes, batch_num_nodes=sizes,
                 ndata={"features": features.to(dtype)}, edata={"features": edges.to(dtype)})  # fmt: skip
    return made.to(device)


def engines(device: str) -> list[str]:
    return ["torch"] if dgl_obstacle(device) else ["torch", "dgl"]


def graph_net(**options: Any) -> GraphNetwork:
    """Build a net of two layers for `graph`."""
    plain: dict[str, Any] = {"input_layer": True, "output_layer": "linear", "level": "graph", "hidden_size": 8}
    none: dict[str, Any] = {"node_types": 0, "edge_types": 0, "positional_size": 0, "positional": None}
    build = partial(
        GraphNetwork, in_feats=8, edge_feats=3, num_outputs=5, heads=2, engine="torch", **none, **{**plain, **options}
    )
    return seeded(build)


def check_layer(setting: Setting, engine: str, options: dict[str, Any]) -> Passed:
    """Compare a graph net on an engine with the torch engine on the CPU."""
    if engine not in engines(setting.device):
        raise NotTried(dgl_obstacle(setting.device))
    size = (40, 120) if setting.short else (2000, 20000)

    def forward(net: Any, dtype: torch.dtype, device: torch.device, engine: str = engine) -> Tensor:
        net.engine = engine
        return net(graph(*size, dtype, device))

    net = graph_net(**options)
    return compare(net, forward, setting.device, partial(forward, engine="torch"))


Primitive = Callable[[Graph, Tensor, Tensor], Tensor]  # graph, x of nodes, e of edges


def primitives() -> dict[str, Primitive]:
    """Return a call of each primitive with each of its operations."""
    found: dict[str, Primitive] = {"edge_softmax": lambda g, x, e: edge_softmax(g, e)}
    for reduce in REDUCES:
        found[f"spmm {reduce}"] = lambda g, x, e, reduce=reduce: spmm(g, x, reduce=reduce)
        found[f"spmm {reduce} of edges"] = lambda g, x, e, reduce=reduce: spmm(g, None, e, reduce=reduce)
        found[f"spmm {reduce}, weighted"] = lambda g, x, e, reduce=reduce: spmm(g, x, e, reduce=reduce)
        found[f"segment_readout {reduce}"] = lambda g, x, e, reduce=reduce: segment_readout(g, x, reduce)
    for op in OPS:
        found[f"sddmm {op}"] = lambda g, x, e, op=op: sddmm(g, op, x, x.flip(0))
    return found


class Features(nn.Module):
    """Numbers of nodes [N, 4] and edges [E, 4] as parameters, so that their gradients are compared."""

    def __init__(self, num_nodes: int, num_edges: int) -> None:
        super().__init__()
        self.x, self.e = (nn.Parameter(torch.randn(rows, 4, dtype=torch.float64)) for rows in (num_nodes, num_edges))


def check_primitive(setting: Setting, engine: str, name: str) -> Passed:
    """Compare a primitive of an engine with the torch engine on the CPU."""
    if engine not in engines(setting.device):
        raise NotTried(dgl_obstacle(setting.device))
    size = (40, 120) if setting.short else (2000, 20000)

    def forward(net: Any, dtype: torch.dtype, device: torch.device, engine: str = engine) -> Tensor:
        made = graph(*size, dtype, device)
        made.engine = engine
        return primitives()[name](made, net.x, net.e)

    net = seeded(partial(Features, *size))
    return compare(net, forward, setting.device, partial(forward, engine="torch"))


def check_products(setting: Setting, is_deterministic: bool) -> Passed:
    """Compare the sparse product, by segments or by torch's CSR, with a dense one; repeat it for equal bits."""
    rows, cols, nnz, F = (50, 40, 300, 24) if setting.short else (20000, 10000, 400000, 64)
    generator = torch.Generator().manual_seed(4)
    places = torch.randint(0, rows, (nnz,), generator=generator), torch.randint(0, cols, (nnz,), generator=generator)
    values = torch.randn(nnz, generator=generator, dtype=torch.float64)
    dense = torch.randn(cols, F, generator=generator, dtype=torch.float64)
    matrix = SparseMatrix.from_coo(*places, values, (rows, cols))
    expected = torch.zeros(rows, F, dtype=torch.float64).index_add_(0, places[0], values[:, None] * dense[places[1]])
    said = []
    with deterministic() if is_deterministic else nullcontext():
        for dtype, tolerance in TOLERANCES.items():
            moved, x = matrix.to(setting.device, dtype), dense.to(setting.device, dtype)
            results = [moved @ x for _ in range(REPEATS)]
            away, _ = difference({"product": results[0]}, {"product": expected})
            if not away <= tolerance:
                raise Broken(f"the product differs by {away:.1e} in {dtype}; allowed: {tolerance:.0e}")
            if is_deterministic and not all(torch.equal(results[0], each) for each in results):
                raise Broken(f"the product has other bits each time in {dtype}")
            said.append(f"{away:.1e}")
    return Passed(f"{', '.join(said)}{', equal bits' if is_deterministic else ''}")


def check_layer_repeats(setting: Setting, layer: str) -> Passed:
    """Repeat a graph net with dropout and batch norm on a graph whose node 0 has very many edges."""
    size = (400, 3000) if setting.short else (40000, 600000)
    made = graph(*size, torch.float32, setting.device)
    build = partial(graph_net, layer=layer, dropout=0.3, norm="batch", readout="attention")
    return compare_repeats(setting, build, lambda net, dtype, device: net(made))


def checks() -> Iterator[Check]:
    """Yield the checks of graph nets."""
    new = partial(Check, "graph nets")
    for engine in ("torch", "dgl"):
        parts: list[tuple[str, dict[str, Any]]] = [(layer, {"layer": layer}) for layer in LAYERS]
        parts += [(f"norm {norm}", {"layer": "gin", "norm": norm}) for norm in NORMS]
        parts += [(f"readout {readout}", {"readout": readout}) for readout in READOUTS]
        for case, options in parts:
            yield new(f"a graph net is the CPU's, engine {engine}", case, check_layer, (engine, options))
        for name in primitives():
            yield new(f"a primitive is the CPU's, engine {engine}", name, check_primitive, (engine, name))
    for layer in LAYERS:
        yield new("a graph net repeats its bits", layer, check_layer_repeats, (layer,))
    yield new("a sparse product is the dense one", "deterministic algorithms", check_products, (True,))
    yield new("a sparse product is the dense one", "any algorithms", check_products, (False,))
