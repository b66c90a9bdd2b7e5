"""Graph convolutions: each node's new features from its own and those of the nodes with an edge to it.

Every layer is a module with forward(graph, x, e=None): features x [S, I] of the sources, dense or sparse, -> [N, O] of
the destination nodes, the first N sources. No layer adds self-loops; layers without a use for edge features e ignore
them. The attention layers are in `attention`, the gated ones in `gated`.

Shapes: S sources, N destination nodes (N = S but in a sampled block), E edges, I in_feats, O out_feats.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_dl2.graphs import Graph, SparseMatrix, gather, spmm
from lightning_dl2.graphs.graph import Features
from lightning_dl2.graphs.sampling.weight_totals import DRAWABLE, ENTERING, LEAVING, LOOP, LOOPS
from lightning_dl2.nets.checks import check_choice, check_sizes
from lightning_dl2.nets.graph.norms import build_norm
from lightning_dl2.nets.graph.sparse_linear import SparseLinear, as_dense, destinations

EDGE_WEIGHT = "edge_weight"  # name of the edges' weights in the edata of a graph
WEIGHT_TOTALS = f"{EDGE_WEIGHT}_totals"  # in the ndata of a sampled block: see `weight_totals`
AGGREGATORS = ("mean", "sum", "pool")


def edge_weights(graph: Graph) -> Tensor | None:
    """Return the weight of each edge, [E], as `prepare_weights` makes them; None: the graph has none."""
    return graph.edata.get(EDGE_WEIGHT)


def prepare_weights(graph: Graph, given: Graph, normalize: bool) -> Graph:
    """Give each self-loop that was added the weight 1, or that of the self-loop in whose place it is; normalise.

    Args:
        graph: with weights, and perhaps with self-loops.
        given: the graph before self-loops were added.
        normalize: divide each weight by the root of the sum of weights that leave its source, and of those that enter
            its destination, as with norm="both" of DGL's EdgeWeightNorm; of an undirected graph as in PyG's gcn_norm.
            In a sampled block with WEIGHT_TOTALS the sums are those of the whole graph, and a drawn edge counts for as
            many as there are for each drawn one: as in `normalized_adjacency`, the sum is that over all in the mean.
    """
    weights = graph.edata[EDGE_WEIGHT]
    if normalize and WEIGHT_TOTALS in given.ndata:
        return graph.replace(edata={**graph.edata, EDGE_WEIGHT: _sampled_weights(graph, given).to(weights.dtype)})
    if graph.has_added_self_loops and not given.has_added_self_loops:
        loops = weights.new_ones(graph.num_nodes)
        with torch.inference_mode(False):  # a validation may come first
            own = given.cached("own self-loops", lambda: (given.src == given.dst).nonzero().squeeze(1))
        loops[given.dst[own]] = given.edata[EDGE_WEIGHT][own]
        weights = torch.cat([weights[: graph.num_edges - graph.num_nodes], loops])
    if normalize:
        wide = weights.double()
        leaving = wide.new_zeros(graph.num_src).index_add(0, graph.src, wide)[graph.src]
        entering = wide.new_zeros(graph.num_nodes).index_add(0, graph.dst, wide)[graph.dst]
        product = leaving * entering
        weights = torch.where(product > 0, wide * product.clamp(min=1e-300).rsqrt(), 0.0).to(weights.dtype)
    return graph.replace(edata={**graph.edata, EDGE_WEIGHT: weights})


def _sampled_weights(graph: Graph, given: Graph) -> Tensor:
    """Return the normalised weights of a block, float64 [E]; the arguments are those of `prepare_weights`."""
    count, totals = graph.num_nodes, given.ndata[WEIGHT_TOTALS]
    assert isinstance(totals, Tensor)
    loops = totals[:, LOOP].nan_to_num(1.0) if graph.has_added_self_loops else totals[:, LOOPS]
    leaving, entering = totals[:, LEAVING] + loops, (totals[:, ENTERING] + loops)[:count]
    shares = totals[:count, DRAWABLE] / given.in_degrees.clamp(min=1)
    weights = graph.edata[EDGE_WEIGHT].double() * shares[graph.dst]
    if graph.has_added_self_loops:  # they are not drawn, and are the last edges
        weights = torch.cat([weights[: graph.num_edges - count], loops[:count]])
    product = leaving[graph.src] * entering[graph.dst]
    return torch.where(product > 0, weights * product.clamp(min=1e-300).rsqrt(), 0.0)


def propagate(graph: Graph, x: Tensor) -> Tensor:
    """Return D^-1/2 A D^-1/2 x: [S, I] -> [N, I], of the dtype of x; summed in float32 at least.

    Where edges have weights, which `prepare_weights` has normalised, these are the entries of the matrix.
    """
    if (weights := edge_weights(graph)) is not None:
        return spmm(graph, x, weights.to(x.dtype))
    adjacency = graph.normalized_adjacency(torch.promote_types(x.dtype, torch.float32))
    if graph.edge_mask is not None:  # a sparse matrix has no gradient with respect to its values
        _, _, edges = graph.in_csr()
        return spmm(graph, x, torch.empty_like(adjacency.values).index_copy(0, edges, adjacency.values))
    return adjacency.matmul(x).to(x.dtype)


class MLPConv(nn.Module):
    """H' = H W + b, without any edge: the baseline that shows the worth of the graph."""

    def __init__(self, in_feats: int, out_feats: int):
        super().__init__()
        self.fc = SparseLinear(in_feats, out_feats)

    def forward(self, graph: Graph, x: Features, e: Tensor | None = None) -> Tensor:
        return self.fc(destinations(graph, x))


class GCNConv(nn.Module):
    """H' = D^-1/2 A D^-1/2 H W + b (Kipf & Welling 2017, equation 2; the paper's A has self-loops).

    D is the degree, of a directed graph the in-degree on the left and the out-degree on the right.
    """

    def __init__(self, in_feats: int, out_feats: int, *, bias: bool = True):
        super().__init__()
        self.fc = SparseLinear(in_feats, out_feats, bias=False)
        nn.init.xavier_uniform_(self.fc.weight)
        self.bias = nn.Parameter(torch.zeros(out_feats)) if bias else None

    def forward(self, graph: Graph, x: Features, e: Tensor | None = None) -> Tensor:
        # the product is associative: it is cheaper to multiply the narrower matrix by A
        if isinstance(x, SparseMatrix) or self.fc.in_features > self.fc.out_features:
            y = propagate(graph, self.fc(x))
        else:
            y = self.fc(propagate(graph, x))
        return y if self.bias is None else y + self.bias


class SAGEConv(nn.Module):
    """h_v' = W_self h_v + W_neigh AGG_{u -> v} h_u + b (Hamilton, Ying & Leskovec 2017, algorithm 1).

    Where edges have weights, each h_u is multiplied by its edge's, as in DGL; the mean is still over their number.

    Args:
        aggregator: `mean`, `sum`, or `pool`, the maximum of relu(W_pool h_u + b_pool) (equation 3).

    Raises:
        ValueError: another `aggregator`.
    """

    def __init__(self, in_feats: int, out_feats: int, *, aggregator: str = "mean", bias: bool = True):
        super().__init__()
        check_choice("aggregator", aggregator, AGGREGATORS)
        self.aggregator = aggregator
        self.fc_self = SparseLinear(in_feats, out_feats, bias=bias)
        self.fc_neigh = SparseLinear(in_feats, out_feats, bias=False)
        gain = nn.init.calculate_gain("relu")
        nn.init.xavier_uniform_(self.fc_self.weight, gain)
        nn.init.xavier_uniform_(self.fc_neigh.weight, gain)
        if aggregator == "pool":
            self.fc_pool = SparseLinear(in_feats, in_feats)
            nn.init.xavier_uniform_(self.fc_pool.weight, gain)

    def forward(self, graph: Graph, x: Features, e: Tensor | None = None) -> Tensor:
        own, weights = self.fc_self(destinations(graph, x)), edge_weights(graph)
        if self.aggregator == "pool":
            return own + self.fc_neigh(spmm(graph, F.relu(self.fc_pool(x)), weights, reduce="max"))
        if isinstance(x, SparseMatrix) or self.fc_neigh.in_features > self.fc_neigh.out_features:
            return own + spmm(graph, self.fc_neigh(x), weights, reduce=self.aggregator)
        return own + self.fc_neigh(spmm(graph, x, weights, reduce=self.aggregator))


class GINConv(nn.Module):
    """h_v' = MLP((1 + eps) h_v + sum_{u -> v} h_u) (Xu et al. 2019, equation 4.1).

    Args:
        hidden_sizes: of the MLP, which has a norm and a relu after each linear layer except the last; (O,) if None.
        norm: of the MLP, one of NORMS; `batch` in the paper.
        learn_eps: eps is a parameter (the paper's GIN-eps); else it stays at `eps` (GIN-0).

    Raises:
        ValueError: another `norm`.
    """

    def __init__(
        self,
        in_feats: int,
        out_feats: int,
        *,
        hidden_sizes: tuple[int, ...] | None = None,
        norm: str = "batch",
        eps: float = 0.0,
        learn_eps: bool = True,
    ):
        super().__init__()
        sizes = (in_feats, *((out_feats,) if hidden_sizes is None else hidden_sizes))
        hidden = []
        for size, next_size in zip(sizes, sizes[1:], strict=False):
            # the norm has a bias of its own
            hidden += [nn.Linear(size, next_size, bias=norm != "batch"), build_norm(norm, next_size), nn.ReLU()]
        self.mlp = nn.Sequential(*hidden, nn.Linear(sizes[-1], out_feats))
        if learn_eps:
            self.eps = nn.Parameter(torch.tensor(float(eps)))
        else:
            self.register_buffer("eps", torch.tensor(float(eps)), persistent=False)

    def forward(self, graph: Graph, x: Features, e: Tensor | None = None) -> Tensor:
        x = as_dense(x)
        return self.mlp((1 + self.eps) * destinations(graph, x) + self.aggregate(graph, x, e))

    def aggregate(self, graph: Graph, x: Tensor, e: Tensor | None) -> Tensor:
        """Sum over the sources, [N, I]; weighted where edges have weights, as in DGL."""
        return spmm(graph, x, edge_weights(graph))


class GINEConv(GINConv):
    """h_v' = MLP((1 + eps) h_v + sum_{u -> v} relu(h_u + e_uv)) (Hu et al. 2020); without e GIN.

    Args:
        edge_feats: size of e; None or I: e is added as it is; another size passes a linear layer to I first.
        gin: arguments of `GINConv`.
    """

    def __init__(self, in_feats: int, out_feats: int, *, edge_feats: int | None = None, **gin: Any):
        super().__init__(in_feats, out_feats, **gin)
        edge_feats = in_feats if edge_feats is None else edge_feats
        self.fc_edge = nn.Identity() if edge_feats == in_feats else nn.Linear(edge_feats, in_feats)

    def aggregate(self, graph: Graph, x: Tensor, e: Tensor | None) -> Tensor:
        """Sum over the edges, [N, I]."""
        if e is None:
            return spmm(graph, x)
        return spmm(graph, None, F.relu(gather(graph, x) + self.fc_edge(e)))


class GCNIIConv(nn.Module):
    """H' = M ((1 - beta) I + beta W), M = (1 - alpha) A_hat H + alpha H0 (Chen et al. 2020, equation 5).

    A_hat is D^-1/2 A D^-1/2, as in `GCNConv`, H0 the first layer's input, beta = log(lambda / layer + 1).

    Args:
        layer: its position in the net, from 1 on: the deeper, the nearer to the identity.
        alpha: the share of H0.
        lambda_: larger values keep more of W in deep layers.
        bias: none in the paper.

    Raises:
        ValueError: `alpha` outside of [0, 1], `lambda_` below 0, `layer` below 1.
    """

    reads_initial = True  # forward gets the first layer's input, too

    def __init__(self, in_feats: int, layer: int, *, alpha: float = 0.1, lambda_: float = 0.5, bias: bool = False):
        super().__init__()
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha is {alpha}; it must be in [0, 1]")
        if lambda_ < 0:
            raise ValueError(f"lambda_ is {lambda_}; it must be >= 0")
        check_sizes(layer=layer)
        self.alpha, self.beta = alpha, math.log(lambda_ / layer + 1)
        self.fc = nn.Linear(in_feats, in_feats, bias=bias)
        nn.init.uniform_(self.fc.weight, -1 / math.sqrt(in_feats), 1 / math.sqrt(in_feats))
        if bias:
            nn.init.zeros_(self.fc.bias)

    def forward(self, graph: Graph, x: Tensor, x0: Tensor) -> Tensor:
        """Map features x [S, I] and the first layer's input x0 [S, I], or its first N rows, to [N, I]."""
        mixed = (1 - self.alpha) * propagate(graph, x) + self.alpha * x0[: graph.num_nodes]
        product = F.linear(mixed, self.fc.weight)
        mixed = (1 - self.beta) * mixed + self.beta * product
        return mixed if self.fc.bias is None else mixed + self.fc.bias
