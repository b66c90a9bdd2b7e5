"""Parts of graph networks as a user writes them outside the package, for the tests of dotted paths."""

import networkx
import torch
from torch import Tensor, nn

from lightning_dl2 import GraphSetDataModule
from lightning_dl2.graphs import Graph, edge_softmax, gather, load_dgl, segment_readout, spmm
from lightning_dl2.nets import GCNConv


class Copied(GCNConv):
    """The package's own GCN under another name."""

    self_loops = takes_sparse = True


class Mean(nn.Module):
    """Ten lines: the mean of the neighbours, beside the node itself."""

    def __init__(self, in_feats: int, out_feats: int):
        super().__init__()
        self.own, self.other = nn.Linear(in_feats, out_feats), nn.Linear(in_feats, out_feats)

    def forward(self, graph: Graph, x: Tensor) -> Tensor:
        return self.own(x[: graph.num_nodes]) + spmm(graph, self.other(x), reduce="mean")


class Attentive(nn.Module):
    """Attention by a score of each edge's features, with several heads."""

    self_loops = True

    def __init__(self, in_feats: int, out_feats: int, heads: int = 1, edge_feats: int = 0, concat: bool = True):
        super().__init__()
        self.heads, self.concat = heads, concat
        self.value = nn.Linear(in_feats, out_feats if concat else heads * out_feats)
        self.score = nn.Linear(in_feats + edge_feats, heads)

    def forward(self, graph: Graph, x: Tensor, e: Tensor | None = None) -> Tensor:
        pair = gather(graph, x) if e is None else torch.cat([gather(graph, x), e], 1)
        weight = edge_softmax(graph, self.score(pair)).unsqueeze(2)
        y = spmm(graph, self.value(x).view(len(x), self.heads, -1), weight)
        return y.flatten(1) if self.concat else y.mean(1)


class WholeOnly(Mean):
    """Reads all sources as if they were destinations, so that it cannot read a block."""

    def forward(self, graph: Graph, x: Tensor) -> Tensor:
        return self.own(x) + spmm(graph, self.other(x))


class ByDegree(Mean):
    """Divides by the out-degrees in the graph at hand, which a block has others of."""

    def forward(self, graph: Graph, x: Tensor) -> Tensor:
        return spmm(graph, self.other(x) / graph.out_degrees.clamp(min=1).unsqueeze(1))


class Narrow(Mean):
    def forward(self, graph: Graph, x: Tensor) -> Tensor:
        return super().forward(graph, x)[:, :1]


class Failing(Mean):
    def forward(self, graph: Graph, x: Tensor) -> Tensor:
        raise ValueError("no such thing\nand more")


class Sized(nn.Module):
    def __init__(self, feats: int):
        super().__init__()


class MeanAndMax(nn.Module):
    """A readout of twice as many features."""

    def __init__(self, feats: int):
        super().__init__()

    def forward(self, graph: Graph, x: Tensor) -> Tensor:
        return torch.cat([segment_readout(graph, x, "mean"), segment_readout(graph, x, "max")], 1)


class Flat(MeanAndMax):
    def forward(self, graph: Graph, x: Tensor) -> Tensor:
        return x.mean(0)


def factory(in_feats: int, out_feats: int) -> nn.Module:
    """Build a layer by a function."""
    return Mean(in_feats, out_feats)


def dictionary(in_feats: int, out_feats: int) -> dict[str, int]:
    return {"in_feats": in_feats}


def lazy(in_feats: int, out_feats: int) -> nn.Module:
    return nn.LazyLinear(out_feats)


class GraphNorm(nn.LayerNorm):
    def forward(self, x: Tensor, batch: Tensor | None = None) -> Tensor:
        return super().forward(x)


def halved(x: Tensor) -> Tensor:
    return x[:, :1]


def sage_of_dgl(in_feats: int, out_feats: int) -> nn.Module:
    """Build a layer of a library that needs more arguments."""
    return load_dgl().nn.SAGEConv(in_feats, out_feats, "mean")


def rings_and_paths(count: int = 24, batch_size: int = 4, seed: int = 0) -> GraphSetDataModule:
    """Make a data module of graphs in memory, as a user's `_target_` does."""
    kinds = networkx.cycle_graph, networkx.path_graph
    graphs = [kinds[number % 2](3 + number % 5) for number in range(count)]
    labels = [number % 2 for number in range(count)]
    sizes = {"num_folds": 4, "validation_fraction": 0.3, "batch_size": batch_size, "seed": seed}
    return GraphSetDataModule.from_graphs(graphs, labels, ids=[f"g{number}" for number in range(count)], **sizes)
