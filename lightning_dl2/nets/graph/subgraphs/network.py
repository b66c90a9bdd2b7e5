"""Graph network that reads the subgraphs around each node, and tells apart graphs that message passing cannot.

Shapes: N nodes, S subgraphs, V nodes and W edges of all subgraphs, H hidden_size, C num_outputs.
"""

from typing import Any

from torch import Tensor, nn

from lightning_dl2.graphs import Graph, segment_readout
from lightning_dl2.nets.graph.network import JUMPING_KNOWLEDGE, GraphNetwork
from lightning_dl2.nets.graph.norms import build_norm
from lightning_dl2.nets.graph.sparse_linear import as_dense
from lightning_dl2.nets.graph.subgraphs.extract import Subgraphs, count_labels, extract_subgraphs


class SubgraphNetwork(GraphNetwork):
    """Run the convolutions on the subgraph around each node i, and read i out of it.

    With marks="node" (Zhang and Li 2021, Nested graph neural networks, equations 3 to 5)

        h_i = MLP( sum_{v in B(i)} h_v^(i) ),   h_v^(i) at first x_v + label(d(i, v)),

    where B(i) has the nodes at most `hops` edges from i, and all layers send messages within B(i) alone. With
    marks="edge" there is a subgraph for each node i and each of its neighbours j (Huang et al. 2023, I2-GNN):

        h_i = MLP( sum_{j in N(i)} MLP( sum_{v in B(i)} h_v^(i,j) ) ),   at first x_v + label(d(i, v), d(j, v)).

    An MLP is linear, norm, relu, linear. Time and memory grow with the nodes of all subgraphs: N |B| and E |B|.

    Args:
        marks, hops: see `extract_subgraphs`.
        net: of `GraphNetwork`, with an input and an output layer.

    Raises:
        ValueError: as `GraphNetwork` and `extract_subgraphs`; or without an input or an output layer.
    """

    def __init__(self, *, marks: str, hops: int, hidden_size: int = 64, norm: str = "none", **net: Any):
        super().__init__(hidden_size=hidden_size, norm=norm, **net)
        if not self.inputs.projects or isinstance(self.output, nn.Identity):
            raise ValueError("subgraphs need input_layer=True and output_layer linear or mlp")
        self.marks, self.hops = marks, hops
        self.labels = nn.Embedding(count_labels(marks, hops), self.inputs.out_feats)
        width = hidden_size * (self.num_layers if self.jumping_knowledge == "cat" else 1)
        self.of_subgraph = _build_mlp(width, norm) if marks == "edge" else nn.Identity()
        self.of_node = _build_mlp(width, norm)

    def forward(self, graphs: Graph | list[Graph]) -> Tensor:
        """Map one graph, or one batch of graphs, to logits [N, C] or [B, C].

        Raises:
            ValueError: sampled blocks, or missing inputs.
        """
        if isinstance(graphs, list):
            raise ValueError("subgraphs need the whole graph, not sampled blocks")
        graph = self.prepare(graphs)
        bag: Subgraphs = graph.cached(
            f"subgraphs {self.marks} {self.hops}", lambda: extract_subgraphs(graph, self.marks, self.hops)
        )
        inside = bag.graph.using(graph.engine)
        # Weights and relations: what a layer reads beside the states of the edges.
        inside = inside.replace(edata={name: x[bag.edge] for name, x in graph.edata.items()})
        if graph.edge_mask is not None:
            inside.edge_mask = graph.edge_mask[bag.edge]
        x = as_dense(self.inputs(graph.ndata, graph))
        e: Any = None
        h: Any
        h, x0 = self.initial(x[bag.node] + self.labels(bag.label))
        if self.edge_inputs is not None:
            e = as_dense(self.edge_inputs(graph.edata, graph.num_edges))[bag.edge]
        outputs = []
        virtual: Any = None if self.virtual_node is None else self.virtual_node.begin(inside)
        for index, layer in enumerate(self.layers):
            before = h if self.virtual_node is None else self.virtual_node.spread(inside, h, virtual)
            h, raw = layer(inside, before, e, x0)
            if layer.edge_norm is not None:
                e = layer.edges(raw, e)
            if self.virtual_node is not None:  # one for each subgraph
                virtual = self.virtual_node(index, inside, before, virtual)
            outputs.append(h)
        read = segment_readout(inside, JUMPING_KNOWLEDGE[self.jumping_knowledge](outputs), "sum")
        of_subgraph = self.of_subgraph(read)
        of_node = of_subgraph.new_zeros(graph.num_nodes, of_subgraph.shape[1]).index_add(0, bag.root, of_subgraph)
        return self.conclude(graph, [self.of_node(of_node)])

    def layerwise(self, graph: Graph, chunk_size: int) -> Tensor:
        """Refuse: the layers of a subgraph cannot be computed node by node.

        Raises:
            ValueError: always.
        """
        raise ValueError("subgraphs need the whole graph, not chunks of it")


def _build_mlp(feats: int, norm: str) -> nn.Module:
    return nn.Sequential(nn.Linear(feats, feats), build_norm(norm, feats), nn.ReLU(), nn.Linear(feats, feats))
