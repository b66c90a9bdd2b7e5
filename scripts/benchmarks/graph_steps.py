"""Run `benchmark.py graph`: training steps of this package's graph networks against PyG and plain DGL.

Shapes: N nodes, B graphs.
"""

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from rich.table import Table
from torch import Tensor, nn

from lightning_dl2.data.graph_files.graph_sets import NodeSet
from lightning_dl2.data.graph_files.planetoid import read_planetoid
from lightning_dl2.data.graph_files.zinc import read_zinc
from lightning_dl2.data.graphs.generators import stochastic_block_model
from lightning_dl2.graphs import Graph, GraphBatch, PackedGraphs, load_dgl
from lightning_dl2.graphs.import_dgl import why_no_dgl
from lightning_dl2.nets import GraphNetwork
from scripts.benchmarks.loops import alternate, compare_with_bare, count_parameters, seconds

NO_PYG = "PyG is not installed (pip install torch-geometric==2.7.0): the tables compare with plain DGL alone"
NO_CORA = "Cora is skipped; data=DIR names the directory that holds cora/"
CORA_HIDDEN, CORA_STEPS = 16, 10
NUM_BLOCK_NODES = 100_000
BLOCKS = {"num_classes": 10, "average_degree": 11.0, "num_feats": 64}
BLOCKS_HIDDEN = 64
MOLECULES_HIDDEN, MOLECULES_LAYERS, MOLECULES_BATCH, MOLECULES_STEPS = 70, 4, 128, 4
NUM_MOLECULES = 2000
TRAINER_STEPS = 200


class GCN(nn.Module):
    """Two GCN layers on the whole graph."""

    def __init__(self, nodes: NodeSet, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.graph = Graph(nodes.src, nodes.dst, nodes.num_nodes, ndata={"features": nodes.features})
        self.net = GraphNetwork(
            in_feats=nodes.features.shape[1],
            node_types=0,
            edge_feats=0,
            edge_types=0,
            positional_size=0,
            positional=None,
            num_outputs=len(nodes.class_names),
            level="node",
            hidden_size=hidden_size,
            input_dropout=dropout,
            dropout=dropout,
        )

    def forward(self) -> Tensor:
        """Return logits [N, C]."""
        return self.net(self.graph)


class BareGCN(GCN):
    """The peer of the Trainer: the same net on the data module's batches, in a bare loop."""

    def __init__(self, nodes: NodeSet, hidden_size: int, dropout: float) -> None:
        super().__init__(nodes, hidden_size, dropout)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=1e-2, weight_decay=5e-4)
        self.schedule = None

    def loss(self, batch: GraphBatch) -> Tensor:
        return F.cross_entropy(self.net(batch.graphs)[batch.index], batch.targets)


class Molecules(nn.Module):
    """Batches of molecules, and a net that predicts one number per molecule."""

    def __init__(self, graphs: PackedGraphs, y: Tensor, layer: str, hidden_size: int, num_layers: int) -> None:
        super().__init__()
        self.graphs, self.y = graphs, y
        self.net = GraphNetwork(
            in_feats=0,
            node_types=int(graphs.ndata["types"].max()) + 1,
            edge_feats=0,
            edge_types=int(graphs.edata["types"].max()) + 1,
            positional_size=0,
            positional=None,
            num_outputs=1,
            level="graph",
            layer=layer,
            hidden_size=hidden_size,
            num_layers=num_layers,
            residual=True,
            norm="batch",
            input_layer=True,
            output_layer="mlp",
        )

    def batch(self, index: Tensor) -> tuple[Graph, Tensor]:
        return self.graphs.batch(index), self.y[index]

    def forward(self, batch: Graph) -> Tensor:
        """Return predictions [B]."""
        return self.net(batch).squeeze(1)


def import_peers() -> dict[str, ModuleType]:
    """Return the modules that build the same two nets, by the name of the library."""
    found = {"PyG": "scripts.benchmarks.pyg_steps"} if importlib.util.find_spec("torch_geometric") else {}
    found |= {"DGL": "scripts.benchmarks.dgl_steps"} if load_dgl() is not None else {}
    return {name: importlib.import_module(module) for name, module in found.items()}


def new_table(title: str, others: Iterable[str]) -> Table:
    header = ["task", "ours ms", *[f"{name} ms" for name in others], *[f"ours/{name}" for name in others]]
    return Table(*header, title=title)


def add_row(table: Table, task: str, sides: list[Callable[[], object]], times: int, repeats: int) -> None:
    """Add a row of medians and ratios; each turn calls each side `times` times."""
    medians, ratios = alternate([partial(seconds, side, times) for side in sides], repeats)
    table.add_row(task, *[f"{1e3 * value:.2f}" for value in medians], *[f"{ratio:.2f}" for ratio in ratios])


def training_step(net: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=5e-4)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def check_same_size(nets: list[nn.Module]) -> None:
    assert len({count_parameters(net) for net in nets}) == 1  # nets of different sizes are not comparable


def select_node_peers(others: dict[str, ModuleType]) -> dict[str, type[nn.Module]]:
    """Return the GCNs of the other libraries; PyG has two paths: edge_index and, faster, torch.sparse."""
    found = {}
    for name, module in others.items():
        found[name] = module.GCN
        if hasattr(module, "SparseGCN"):
            found[f"{name} CSR"] = module.SparseGCN
    return found


def move(net: nn.Module, device: str) -> nn.Module:
    """Move a net to a device, and the graph and the features that it keeps as plain attributes."""
    for name, value in list(vars(net).items()):
        if hasattr(value, "to"):
            setattr(net, name, value.to(device))
    return net.to(device)


def build_node_steps(
    nodes: NodeSet, hidden_size: int, dropout: float, others: dict[str, type[nn.Module]], device: str = "cpu"
) -> list[Callable]:
    train = nodes.splits["train"].to(device)
    targets = nodes.labels.to(device)[train]
    nets = [move(kind(nodes, hidden_size, dropout), device) for kind in (GCN, *others.values())]
    check_same_size(nets)
    return [training_step(net, lambda net=net: F.cross_entropy(net()[train], targets)) for net in nets]


def generate_blocks(num_nodes: int = NUM_BLOCK_NODES) -> NodeSet:
    """Generate a graph of ten communities with about eleven edges a node."""
    return stochastic_block_model(num_nodes, **BLOCKS, homophily=0.8, signal=0.5, seed=0)


def benchmark_nodes(others: dict[str, type[nn.Module]], cora: NodeSet | None, repeats: int) -> Table:
    table = new_table("A training epoch of a GCN of two layers on a whole graph", others)
    if cora is not None:
        size = f"{cora.features.shape[1]}-{CORA_HIDDEN}-{len(cora.class_names)}"
        add_row(table, f"Cora, {size}", build_node_steps(cora, CORA_HIDDEN, 0.5, others), CORA_STEPS, repeats)
    blocks = generate_blocks()
    size = f"{blocks.num_nodes:,} nodes, {len(blocks.src):,} edges, {BLOCKS['num_feats']}-{BLOCKS_HIDDEN}-10"
    add_row(table, size, build_node_steps(blocks, BLOCKS_HIDDEN, 0.5, others), 1, repeats)
    return table


def generate_molecules() -> tuple[PackedGraphs, Tensor]:
    """Generate chains with a few rings, about as large as the molecules of ZINC."""
    rng = np.random.default_rng(0)
    num_nodes = rng.integers(16, 31, NUM_MOLECULES)
    bonds = []
    for size in num_nodes:
        rings = rng.integers(0, size - 5, 3)
        one, other = np.append(np.arange(size - 1), rings), np.append(np.arange(1, size), rings + 5)
        bonds.append((np.stack([one, other], 1).ravel(), np.stack([other, one], 1).ravel()))
    src, dst = (torch.from_numpy(np.concatenate(ends)) for ends in zip(*bonds, strict=True))
    num_edges = torch.tensor([len(one) for one, _ in bonds])
    ndata = {"types": torch.from_numpy(rng.integers(0, 28, num_nodes.sum()))}
    edata = {"types": torch.from_numpy(rng.integers(0, 4, len(src) // 2)).repeat_interleave(2)}
    graphs = PackedGraphs(src, dst, torch.from_numpy(num_nodes), num_edges, ndata=ndata, edata=edata)
    return graphs, torch.randn(NUM_MOLECULES)


def load_molecules(folder: Path | None) -> tuple[PackedGraphs, Tensor]:
    if folder is None:
        return generate_molecules()
    zinc = read_zinc(folder / "zinc12k" / "zinc12k_rebuilt.npz")
    parts = (zinc.src, zinc.dst, zinc.num_nodes, zinc.num_edges)
    graphs = PackedGraphs(*parts, ndata={"types": zinc.node_types}, edata={"types": zinc.edge_types})
    chosen = torch.arange(NUM_MOLECULES)
    return graphs.subset(chosen), zinc.labels[chosen]


def benchmark_molecules(others: dict[str, ModuleType], folder: Path | None, repeats: int) -> Table:
    source = "made-up molecules" if folder is None else "molecules of ZINC"
    title = f"A training step on {MOLECULES_BATCH} {source}, {MOLECULES_LAYERS} x {MOLECULES_HIDDEN}"
    table = new_table(title, others)
    graphs, y = load_molecules(folder)
    kinds = [Molecules, *(module.Molecules for module in others.values())]
    for layer, name in (("gatedgcn", "GatedGCN"), ("gin", "GIN")):
        steps, batches = build_molecule_steps(kinds, graphs, y, layer)
        if layer == "gatedgcn":
            add_row(table, "the batch alone", [partial(next, made) for made in batches], 5 * MOLECULES_STEPS, repeats)
        add_row(table, f"{name}, with its batch", steps, MOLECULES_STEPS, repeats)
    return table


def build_molecule_steps(
    kinds: Iterable[type[nn.Module]], graphs: PackedGraphs, y: Tensor, layer: str, device: str = "cpu"
) -> tuple[list[Callable], list[Iterator]]:
    """Return for each side its training step, with making and moving a batch, and its batches."""
    nets = [kind(graphs, y, layer, MOLECULES_HIDDEN, MOLECULES_LAYERS).to(device) for kind in kinds]
    check_same_size(nets)
    batches = [map(net.batch, draw_batches(len(graphs))) for net in nets]
    losses = [partial(molecules_loss, net, made, device) for net, made in zip(nets, batches, strict=True)]
    return list(map(training_step, nets, losses)), batches


def molecules_loss(net: nn.Module, batches: Iterator, device: str) -> Tensor:
    batch, targets = next(batches)
    return F.l1_loss(net(batch.to(device)), targets.to(device))


def draw_batches(number: int) -> Iterator[Tensor]:
    """Yield the molecules' numbers of each batch, the same for each side."""
    generator = torch.Generator().manual_seed(0)
    while True:
        yield torch.randint(number, (MOLECULES_BATCH,), generator=generator)


def benchmark_trainer(cora: NodeSet, folder: Path, repeats: int) -> Table:
    overrides = ["experiment=cora", f"data.path={folder / 'cora'}"]
    ours, bare, ratio = compare_with_bare(overrides, lambda: BareGCN(cora, CORA_HIDDEN, 0.5), TRAINER_STEPS, repeats)
    title = "The Trainer against a bare loop, steps/s"
    table = Table("task", "Trainer", "bare loop", "ratio", title=title)
    table.add_row("experiment=cora", f"{1 / ours:.0f}", f"{1 / bare:.0f}", f"{1 / ratio:.3f}")
    return table


def benchmark_graph(repeats: int, folder: Path | None) -> Iterator[Table | str]:
    """Yield tables and notes as soon as each is known.

    Args:
        folder: directory that holds the data sets.
    """
    others = import_peers()
    if "PyG" not in others:
        yield NO_PYG
    if "DGL" not in others:
        yield f"Plain DGL is skipped: {why_no_dgl()}"
    cora = None if folder is None else read_planetoid(folder / "cora", "cora")
    if cora is None:
        yield NO_CORA
    yield benchmark_nodes(select_node_peers(others), cora, repeats)
    yield benchmark_molecules(others, folder, repeats)
    if cora is not None:
        yield benchmark_trainer(cora, folder, repeats)
