"""Measure oversmoothing: deep graph convolutions make all nodes alike, unless the net keeps its input.

Shapes: N nodes, H hidden size, C classes.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_dl2.analysis.graphs.fitting import fit
from lightning_dl2.common.figures import COLOURS, MARKERS, new_figure, save, write_csv
from lightning_dl2.data import NodeDataModule
from lightning_dl2.graphs import Graph
from lightning_dl2.tasks import GraphNet

DEPTHS = (1, 2, 4, 8, 16, 32)
NETS: dict[str, dict[str, Any]] = {
    "GCN": {"layer": "gcn"},
    "residual GCN": {"layer": "gcn", "residual": True},
    "GCNII": {"layer": "gcnii"},
}
MEASURES = {
    "accuracy": "test accuracy",
    "dirichlet_energy": "Dirichlet energy over squared norm",
    "cosine_similarity": "mean cosine similarity of two nodes",
}
STEPS, HIDDEN = 80, 32
BLOCK_MODEL = dict(num_nodes=600, num_classes=4, average_degree=8.0, homophily=0.75, num_feats=32, signal=1.0)


def dirichlet_energy(graph: Graph, x: Tensor) -> float:
    """Return tr(X^T (I - A_hat) X) / |X|^2 of an undirected graph without self-loops; 0 if neighbours are alike.

    The numerator is half the sum over directed edges of |x_u / sqrt(d_u) - x_v / sqrt(d_v)|^2 (Cai & Wang 2020), where
    d is the degree with the self-loop. The denominator removes the scale of x, [N, H].
    """
    x = x.double()
    adjacency = graph.with_self_loops().normalized_adjacency(torch.float64)
    return ((x * (x - adjacency @ x)).sum() / x.square().sum()).item()


def cosine_similarity(x: Tensor) -> float:
    """Return the mean cosine similarity over all pairs of nodes; x [N, H], a row of zeros has similarity 0."""
    directions = F.normalize(x.double(), dim=1)
    total = directions.sum(0).square().sum() - directions.square().sum()
    return (total / (len(x) * (len(x) - 1))).item()


def measure(data: NodeDataModule, net: str, depth: int, *, seed: int = 0, steps: int = STEPS) -> dict[str, float]:
    """Train one of NETS and return its MEASURES; the last two are of its last convolution's output."""
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {"num_layers": depth, "hidden_size": HIDDEN, "input_layer": True, "output_layer": "linear"}
    task = GraphNet(data.spec, dropout=0.3, **sizes, **NETS[net])
    fit(task, data.train_batch, steps=steps, learning_rate=0.01, weight_decay=5e-4)
    states: list[Tensor] = []
    hook = task.net.output.register_forward_pre_hook(lambda module, inputs: states.append(inputs[0]))
    (batch,) = data.evaluation_batches("test")
    with torch.no_grad():
        right = task(batch).argmax(1) == batch.targets
    hook.remove()
    return {
        "accuracy": right.float().mean().item(),
        "dirichlet_energy": dirichlet_energy(data.graph, states[0]),
        "cosine_similarity": cosine_similarity(states[0]),
    }


def load(path: str | None, seed: int) -> NodeDataModule:
    """Load Cora from its files, or without a path generate a stochastic block model.

    Raises:
        UserError: the files are missing or damaged.
    """
    if path is None:
        return NodeDataModule("sbm", split="random", validation_size=100, seed=seed, block_model=BLOCK_MODEL)
    return NodeDataModule("cora", path, normalize_features=True, seed=seed)


def write(out: Path, data: NodeDataModule, seed: int) -> list[tuple[str, str]]:
    """Write `oversmoothing.png` and `oversmoothing.csv`; return rows of the table."""
    found = {net: [measure(data, net, depth, seed=seed) for depth in DEPTHS] for net in NETS}
    rows = [
        (net, depth, *(values[name] for name in MEASURES))
        for net, measured in found.items()
        for depth, values in zip(DEPTHS, measured, strict=True)
    ]
    write_csv(out / "oversmoothing.csv", ("net", "depth", *MEASURES), rows)
    figure = new_figure(3, width=4.2, height=3.6)
    for axes, (measure_name, label) in zip(figure.subplots(1, 3), MEASURES.items(), strict=True):
        for (net, measured), colour, marker in zip(found.items(), COLOURS, MARKERS, strict=False):
            axes.plot(DEPTHS, [values[measure_name] for values in measured], color=colour, marker=marker, label=net)
        axes.set_xscale("log", base=2)
        axes.set_xticks(DEPTHS, map(str, DEPTHS))
        axes.set(xlabel="graph convolutions", ylabel=label)
        if measure_name == "dirichlet_energy":
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, 1.05)
        if measure_name == "accuracy":
            chance = data.spec["majority_baseline"]
            axes.axhline(chance, color=COLOURS[-1], linestyle=":", linewidth=1, label="most common class")
            axes.legend(fontsize="small")
    save(figure, out / "oversmoothing.png")
    return [
        (f"{net}, accuracy at depth {', '.join(map(str, DEPTHS))}", ", ".join(f"{v['accuracy']:.2f}" for v in measured))
        for net, measured in found.items()
    ]
