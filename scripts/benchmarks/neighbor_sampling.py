"""Run `benchmark.py sampling`: blocks around a batch of nodes, drawn by this package and by DGL's NeighborSampler.

Shapes: N nodes, E edges.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from lightning_dl2.graphs import Graph, NeighborBlocks, load_dgl
from lightning_dl2.graphs.import_dgl import why_no_dgl
from scripts.benchmarks.loops import alternate, seconds

NUM_EDGES, BATCH, NUM_FEATS, CALLS = 1_000_000, 1024, 64, 4
GRAPHS = {"100,000 nodes": (100_000, False), "10,000 nodes": (10_000, False), "100,000 nodes, hubs": (100_000, True)}
CASES: dict[str, tuple[list[int], dict[str, bool]]] = {
    "[10, 10]": ([10, 10], {}),
    "[15, 10, 5]": ([15, 10, 5], {}),
    "[25, 25]": ([25, 25], {}),
    "[10, 10], replace": ([10, 10], {"replace": True}),
    "[10, 10], weights": ([10, 10], {"weights": True}),
    "[10, 10], weights, replace": ([10, 10], {"weights": True, "replace": True}),
}


def generate_graph(num_nodes: int, hubs: bool) -> Graph:
    """Draw E edges at random; with hubs, destinations by a power law: half of the edges enter a thousandth of nodes."""
    generator = torch.Generator().manual_seed(0)
    places = torch.rand(NUM_EDGES, generator=generator, dtype=torch.float64)
    dst = (places**10 if hubs else places) * num_nodes
    src = torch.randint(num_nodes, (NUM_EDGES,), generator=generator)
    ndata = {"features": torch.randn(num_nodes, NUM_FEATS, generator=generator)}
    edata = {"weight": torch.rand(NUM_EDGES, generator=generator)}
    return Graph(src, dst.long(), num_nodes, ndata=ndata, edata=edata)


def draw_batches(num_nodes: int) -> Iterator[tuple[Tensor, int]]:
    """Yield the nodes of each batch and its seed, the same for each side."""
    generator = torch.Generator().manual_seed(1)
    for seed in count():
        yield torch.randperm(num_nodes, generator=generator)[:BATCH], seed


def build_ours(graph: Graph, fanouts: list[int], weights: bool = False, replace: bool = False) -> Callable[[], object]:
    sampler = NeighborBlocks(
        graph.replace(edata={}), fanouts, replace=replace, weights=graph.edata["weight"] if weights else None
    )
    batches = draw_batches(graph.num_nodes)
    return lambda: sampler.sample(*next(batches))


def build_theirs(
    dgl: Any, graph: Graph, fanouts: list[int], weights: bool = False, replace: bool = False
) -> Callable[[], object]:
    handle, batches = graph.to_dgl(features=True), draw_batches(graph.num_nodes)
    handle.create_formats_()
    sampler = dgl.dataloading.NeighborSampler(fanouts, prob="weight" if weights else None, replace=replace)

    def sample() -> Any:
        nodes, seed = next(batches)
        dgl.seed(seed)
        sources, _, blocks = sampler.sample(handle, nodes)
        return blocks, graph.ndata["features"].index_select(0, sources)  # as the first of our blocks has them

    return sample


def benchmark_sampling(repeats: int) -> Table:
    title = f"Blocks around {BATCH} nodes of a graph of {NUM_EDGES:,} edges, with {NUM_FEATS} features a node"
    dgl = load_dgl()
    if dgl is None:
        title += f"; DGL is skipped: {why_no_dgl()}"
    table = Table("graph", "fanouts", "ours ms", "DGL ms", "ratio", title=title)
    for name, (num_nodes, hubs) in GRAPHS.items():
        graph = generate_graph(num_nodes, hubs)
        for case, (fanouts, options) in CASES.items():
            sides = [build_ours(graph, fanouts, **options)]
            sides += [] if dgl is None else [build_theirs(dgl, graph, fanouts, **options)]
            medians, ratios = alternate([partial(seconds, side, CALLS) for side in sides], repeats)
            cells = [f"{1e3 * value:.2f}" for value in medians] + [f"{ratio:.2f}" for ratio in ratios]
            table.add_row(name, case, *cells)
    return table
