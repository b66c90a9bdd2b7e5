"""Compare two graphs by a trained net: the reliable paired comparison (RPC) of BREC.

Wang and Zhang (2024), https://arxiv.org/abs/2304.07702, section 5 and appendix; their code is base/test_BREC.py.

A net is trained to give two graphs different outputs. It then reads COPIES copies of both with their nodes in random
orders. It tells the graphs apart if the outputs differ by far more than rounding makes those of copies differ: by
Hotelling's T^2 of the differences. The same T^2 between copies of one graph is the control.

Shapes: q copies, d outputs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_dl2.graphs import Graph, PackedGraphs, resolve_engine
from lightning_dl2.graphs.positional_encodings import ENCODINGS

COPIES, OUTPUTS = 32, 16  # the paper's q and d
# (q - 1) d / (q - d) times the 0.95 quantile of the F distribution with d and q - d degrees of freedom: the paper's.
THRESHOLD = 72.34
# An equal T^2 of pair and control is that of rounding alone; both are the paper's constants.
SAME, RELATIVE = 1e-6, 1e-5
RIDGE = 1e-7  # added to the variances where copies have the very same outputs, and there is no variance to compare with


@dataclass(frozen=True)
class Training:
    """Settings of the training for one pair; the defaults are those of the paper's base code.

    Args:
        epochs: passes over the copies.
        batch_size: graphs of a step, half of them copies of each.
        enough: mean loss at which training stops.
    """

    epochs: int = 20
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    batch_size: int = 16
    enough: float = 0.2


class Verdict(NamedTuple):
    """Result for one pair.

    Attributes:
        statistic: T^2 between copies of both graphs.
        control: T^2 between copies of one of them.
    """

    statistic: float
    control: float

    @property
    def reliable(self) -> bool:
        """Tell whether copies of one graph count as the same graph."""
        return self.control < THRESHOLD

    @property
    def distinguished(self) -> bool:
        """Tell whether the two graphs count as different ones, and the control does not."""
        same = abs(self.statistic - self.control) <= SAME + RELATIVE * abs(self.control)
        return self.statistic > THRESHOLD and not same and self.reliable


def compare(
    net: nn.Module,
    first: Graph,
    second: Graph,
    training: Training,
    *,
    positional: tuple[str, int] | None,
    generator: torch.Generator,
) -> Verdict:
    """Train a net on copies of two graphs, and test whether it tells them apart.

    Args:
        net: maps a batch of graphs with ndata["features"] [N, 1] of ones, or ["positional"], to [B, OUTPUTS].
        positional: kind and size of the encoding that the net reads; None: the features.
        generator: of the copies, and of the graph whose copies are the control.
    """
    pairs = _copies(first, second, positional, generator)
    one = (first, second)[int(torch.randint(2, (), generator=generator))]
    control = _copies(one, one, positional, generator)
    batches = list(_batches(pairs, training.batch_size))
    optimizer = torch.optim.Adam(net.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    net.train()
    for _ in range(training.epochs):
        total = 0.0
        for batch in batches:
            outputs = net(batch)
            loss = _similarity(outputs[0::2], outputs[1::2])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * batch.batch_size / 2
        if total / COPIES < training.enough:
            break
        scheduler.step(total / COPIES)
    net.eval()
    with torch.no_grad():
        outputs = torch.cat([net(batch) for batch in batches])
        same = torch.cat([net(batch) for batch in _batches(control, training.batch_size)])
    return Verdict(hotelling(outputs[0::2] - outputs[1::2]), hotelling(same[0::2] - same[1::2]))


def hotelling(differences: Tensor) -> float:
    """Return D^T S^+ D, D the mean and S the covariance of the differences [q, d].

    This is the statistic of the paper's code, which leaves out the factor q of Hotelling's T^2 and keeps its threshold:
    it finds fewer pairs than the test at level 0.05 would, and hardly ever a wrong one.
    """
    mean, covariance = differences.mean(0), torch.cov(differences.T)
    if not covariance.any():
        covariance = RIDGE * torch.eye(len(mean), dtype=mean.dtype)
    return float(mean @ torch.linalg.pinv(covariance) @ mean)


def _similarity(x: Tensor, y: Tensor) -> Tensor:
    """Return the cosine embedding loss of pairs that are to differ: the mean of max(0, cos(x, y))."""
    return nn.functional.cosine_embedding_loss(x, y, -torch.ones(len(x)))


def _copies(
    first: Graph, second: Graph, positional: tuple[str, int] | None, generator: torch.Generator
) -> PackedGraphs:
    """Relabel both graphs COPIES times; copies of the first and the second take turns."""
    graphs = [_relabel(graph, generator) for _ in range(COPIES) for graph in (first, second)]
    packed = PackedGraphs.from_graphs(graphs)
    if positional is None:
        ndata = {"features": torch.ones(int(packed.num_nodes.sum()), 1)}
    else:
        kind, size = positional
        ndata = {"positional": ENCODINGS[kind](packed, size)}
    return PackedGraphs(packed.src, packed.dst, packed.num_nodes, packed.num_edges, ndata=ndata)


def _relabel(graph: Graph, generator: torch.Generator) -> Graph:
    """Give the nodes other numbers, and put the edges into another order."""
    nodes = torch.randperm(graph.num_nodes, generator=generator)
    edges = torch.randperm(graph.num_edges, generator=generator)
    return Graph(nodes[graph.src[edges]], nodes[graph.dst[edges]], graph.num_nodes)


def _batches(graphs: PackedGraphs, size: int) -> Iterator[Graph]:
    engine = resolve_engine("auto", graphs.src.device)
    for items in torch.arange(2 * COPIES).split(size):
        yield graphs.batch(items).using(engine)
