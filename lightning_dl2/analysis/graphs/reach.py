"""Compare the reach of recurrent and graph networks on the same palindromes.

The graph networks read a sequence as a path (`data/graphs/path_graphs.py`) and answer at its last node.

Shapes: B sequences, T tokens, N nodes of all paths, V tokens in the vocabulary, C classes, H hidden size.
"""

from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_dl2.analysis.graphs.fitting import fit
from lightning_dl2.common.figures import COLOURS, MARKERS, new_figure, save, write_csv
from lightning_dl2.data import SequenceDataModule
from lightning_dl2.data.graphs.path_graphs import path_batch, path_spec
from lightning_dl2.graphs import Graph
from lightning_dl2.nets import GatedGraphConv
from lightning_dl2.tasks import GraphNet, SequenceClassifier
from lightning_dl2.tasks.task import Task

TOKENS = (2, 3, 4, 5, 6, 8, 10)
HIDDEN, BATCH, STEPS = 32, 64, 400
ENOUGH = max(TOKENS) - 1  # rounds until the first node reaches the last


class GatedGraphReader(nn.Module):
    """A gated graph convolution on one-hot tokens and a linear layer."""

    def __init__(self, vocabulary_size: int, num_classes: int, hidden_size: int, rounds: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.convolution = GatedGraphConv(vocabulary_size, hidden_size, rounds)
        self.output = nn.Linear(hidden_size, num_classes)

    def forward(self, graph: Graph) -> Tensor:
        """Return logits [N, C] of a graph whose nodes have types, int64 [N]."""
        types: Any = graph.ndata["types"]
        x = F.one_hot(types, self.vocabulary_size).to(self.output.weight.dtype)
        return self.output(self.convolution(graph, x))


def build_graph_net(spec: dict[str, Any], num_layers: int) -> GraphNet:
    """Build the graph task with `num_layers` convolutions with separate weights."""
    net: dict[str, Any] = {"layer": "sage", "hidden_size": HIDDEN, "num_layers": num_layers, "output_layer": "linear"}
    return GraphNet(path_spec(spec), **net, norm="layer")


def build_gated_graph_net(spec: dict[str, Any], rounds: int) -> GraphNet:
    """Build the graph task with a GRU that updates the nodes."""
    task = build_graph_net(spec, 1)
    # The task needs only a net that maps a graph to logits of its nodes.
    task.net = GatedGraphReader(spec["vocabulary_size"], spec["num_classes"], HIDDEN, rounds)
    return task


def build_lstm(spec: dict[str, Any]) -> SequenceClassifier:
    return SequenceClassifier(spec, cell="lstm", hidden_size=HIDDEN, initialization="orthogonal")


NETS: dict[str, Callable[[dict[str, Any]], Task]] = {
    "GNN, 2 layers": lambda spec: build_graph_net(spec, 2),
    "GNN, 5 layers": lambda spec: build_graph_net(spec, 5),
    "gated graph network, 4 rounds": lambda spec: build_gated_graph_net(spec, 4),
    f"gated graph network, {ENOUGH} rounds": lambda spec: build_gated_graph_net(spec, ENOUGH),
    "LSTM": build_lstm,
}


def accuracy(build: Callable[[dict[str, Any]], Task], num_tokens: int, *, seed: int = 0, steps: int = STEPS) -> float:
    """Train a net on palindromes of the data module, and return its accuracy on new draws.

    The test draws from all palindromes, not only from those held out of training. There are few short palindromes, so a
    net that does not see the first digit could exclude those that it knows and fall below chance.

    Args:
        build: function from the data module's spec to the task; one of NETS.
        num_tokens: T; the label is the first token.
    """
    data = SequenceDataModule("decimal_palindrome", num_tokens + 1, BATCH, seed=seed)
    torch.manual_seed(seed)
    task = build(data.spec)
    view: Any = path_batch if isinstance(task, GraphNet) else lambda batch: batch
    fit(task, lambda step: view(data.train_batch(step)), steps=steps, learning_rate=5e-3, patience=20)
    tokens, labels = data.task.draw(np.random.default_rng(seed), 2000, data.length)
    batch = torch.from_numpy(tokens), torch.from_numpy(labels)
    with torch.no_grad():
        logits = task(path_batch(batch) if isinstance(task, GraphNet) else batch[0])
    return (logits.argmax(1) == batch[1]).float().mean().item()


def write(out: Path, seed: int) -> list[tuple[str, str]]:
    """Write `paths.png` and `paths.csv`; return rows of the table."""
    found = {name: [accuracy(build, tokens, seed=seed) for tokens in TOKENS] for name, build in NETS.items()}
    write_csv(
        out / "paths.csv",
        ("net", "tokens", "accuracy"),
        [(name, tokens, value) for name, values in found.items() for tokens, value in zip(TOKENS, values, strict=True)],
    )
    figure = new_figure(width=7.0, height=4.2)
    axes = figure.subplots()
    axes.axhline(1 / 10, color=COLOURS[-1], linestyle=":", linewidth=1, label="chance")
    # Hollow markers of growing size show curves that lie on each other.
    for size, (name, values), colour, marker in zip(range(5, 20, 3), found.items(), COLOURS, MARKERS, strict=False):
        style = "-" if name.startswith("GNN") else "--" if name.startswith("gated") else "-."
        look: dict[str, Any] = {"color": colour, "linestyle": style, "marker": marker, "markersize": size}
        axes.plot(TOKENS, values, **look, markerfacecolor="none", label=name)
    axes.set(xlabel="tokens T; the answer is T - 1 steps from the last", ylabel="test accuracy", ylim=(0, 1.1))
    axes.legend(fontsize="small", loc="center right")
    save(figure, out / "paths.png")
    return [(name, f"{_find_reach(values)} tokens") for name, values in found.items()]


def _find_reach(values: list[float]) -> int:
    """Return the longest sequence up to which every length is solved; 0 if none is."""
    solved = takewhile(lambda pair: pair[1] > 0.9, zip(TOKENS, values, strict=True))
    return max((tokens for tokens, _ in solved), default=0)
