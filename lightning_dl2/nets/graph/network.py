"""Graph network for nodes or whole graphs: inputs, convolutions, readout and output layer.

Shapes: N nodes (of sampled blocks the destinations of the last), B graphs, L num_layers, H hidden_size, C num_outputs.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dl2.common.dotted import is_dotted
from lightning_dl2.graphs import ENGINES, Graph, resolve_engine
from lightning_dl2.graphs.graph import Features
from lightning_dl2.nets.checks import check_choice, check_dropouts, check_sizes
from lightning_dl2.nets.dropout import dropout
from lightning_dl2.nets.graph.convolutions import EDGE_WEIGHT, prepare_weights
from lightning_dl2.nets.graph.graph_layer import ACTIVATIONS, LINEAR, Finish, GraphLayer, build_activation
from lightning_dl2.nets.graph.inputs import EdgeInputs, NodeInputs
from lightning_dl2.nets.graph.layers import LAYERS, Layer, Options
from lightning_dl2.nets.graph.layerwise import layerwise
from lightning_dl2.nets.graph.norms import NORMS
from lightning_dl2.nets.graph.own.layers import block_problem, find_layer
from lightning_dl2.nets.graph.readouts import OUTPUT_LAYERS, READOUTS, VirtualNode, build_output, build_readout
from lightning_dl2.nets.graph.relations.choose import AS_THE_LAYER, Relations, keep_types
from lightning_dl2.nets.graph.relations.per_relation import PerRelation
from lightning_dl2.nets.graph.relations.split import TYPES
from lightning_dl2.nets.graph.sparse_linear import first_rows

LEVELS = ("node", "graph")
JUMPING_KNOWLEDGE: dict[str, Callable[[list[Tensor]], Tensor]] = {
    "none": lambda outputs: outputs[-1],
    "cat": lambda outputs: torch.cat(outputs, dim=1),
    "max": lambda outputs: torch.stack(outputs).amax(0),
    "sum": lambda outputs: torch.stack(outputs).sum(0),
}
OWN = ("layer", "activation", "norm", "readout")  # the arguments that may be dotted paths
CHOICES: dict[str, Iterable[str]] = {
    "level": LEVELS,
    "layer": LAYERS,
    "activation": ACTIVATIONS,
    "norm": NORMS,
    "residual": (LINEAR,),  # beside false and true
    "jumping_knowledge": JUMPING_KNOWLEDGE,
    "output_layer": OUTPUT_LAYERS,
    "readout": READOUTS,
    "engine": ENGINES,
}


class GraphNetwork(nn.Module):
    """Map graphs to logits [N, C] or [B, C].

    Without an input and an output layer this is the net of the papers on citation graphs (GCN, GAT): dropout before
    every convolution, logits from the last one. With an output layer every convolution gives H features, as in Dwivedi
    et al. 2020; GCNII (Chen et al. 2020) needs both layers.

    Args:
        in_feats, node_types, positional_size, positional: the nodes' inputs, see `NodeInputs`.
        edge_feats, edge_types: the edges' inputs, see `EdgeInputs`; of `gine` and `gatedgcn` only.
        num_outputs: C.
        level: `node` or `graph`; the latter needs an output layer.
        layer: one of LAYERS, or a dotted path, see `own.layers`; so are `activation`, `norm` and `readout`, see
            `own.parts`.
        hidden_size: H; of one head for `gat` and `gatv2` without an output layer, else of all heads together.
        heads: of `gat` and `gatv2`, side by side; `output_heads` of their last layer, averaged, without an output
            layer.
        activation: after every convolution except one that gives the logits.
        input_dropout: probability, on the nodes' inputs; `dropout` on the features between layers and into the output
            layer, `attention_dropout` on the attention weights.
        residual: True adds a layer's input to its output where both have the same size; `linear`: see `GraphLayer`.
        norm: after each convolution, and inside the MLP of `gin` and `gine`.
        feed_forward: whether each layer ends with a `FeedForward` block.
        virtual_node: whether each graph has a `VirtualNode`; it needs an input and an output layer, and whole graphs.
        jumping_knowledge: input of the output layer: the last layer's output (`none`), or those of all layers side by
            side (`cat`), their maximum or their sum (Xu et al. 2018).
        input_layer: a linear map to H before the convolutions; types imply it. In `gcnii` activation and dropout follow
            it.
        output_layer: `mlp` has three linear layers, H -> H/2 -> H/4 -> C (Dwivedi et al. 2020).
        readout: see `Readout`; at graph level only.
        self_loops: adds one to each node, of type 0 and zero features; None: for layers that need it to read the node
            itself.
        edge_features: False ignores the edges' inputs.
        alpha, lambda_: of `gcnii`.
        relational: how types of edges are read as relations; the task makes it of its keys.
        engine: `auto`, `dgl` or `torch`, see `lightning_dl2.graphs.resolve_engine`.

    Raises:
        ValueError: a name, a size or a probability that is not allowed, or two arguments that exclude each other.
    """

    readout: nn.Module | None  # at graph level

    def __init__(
        self,
        *,
        in_feats: int,
        node_types: int,
        edge_feats: int,
        edge_types: int,
        positional_size: int,
        positional: str | None,
        num_outputs: int,
        level: str,
        layer: str = "gcn",
        hidden_size: int = 64,
        num_layers: int = 2,
        heads: int = 1,
        output_heads: int = 1,
        activation: str = "relu",
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        residual: bool | str = False,
        norm: str = "none",
        feed_forward: bool = False,
        virtual_node: bool = False,
        jumping_knowledge: str = "none",
        input_layer: bool = False,
        output_layer: str = "none",
        readout: str = "mean",
        self_loops: bool | None = None,
        edge_features: bool = True,
        alpha: float = 0.1,
        lambda_: float = 0.5,
        relational: Relations = AS_THE_LAYER,
        engine: str = "auto",
    ):
        super().__init__()
        _check_choices(level=level, layer=layer, activation=activation, norm=norm, residual=residual)
        _check_choices(jumping_knowledge=jumping_knowledge, output_layer=output_layer, readout=readout, engine=engine)
        check_sizes(num_outputs=num_outputs, hidden_size=hidden_size, num_layers=num_layers)
        check_sizes(heads=heads, output_heads=output_heads)
        check_dropouts(input_dropout=input_dropout, dropout=dropout, attention_dropout=attention_dropout)
        direct = _is_direct(output_layer, level=level, jumping_knowledge=jumping_knowledge)
        self.layer, self.num_layers, self.level, self.engine = layer, num_layers, level, engine
        own = find_layer(layer)
        kind = relational.apply(layer, own, edge_types)
        self.self_loops = not kind.relations and (kind.self_loops if self_loops is None else self_loops)
        self.weights, self.relations, self.reads_relations = kind.weights, relational, kind.relations
        self.jumping_knowledge, self.dropout, self.takes_lookup = jumping_knowledge, dropout, kind.lookup
        self.activation = build_activation(activation) if kind.initial else None
        nodes: dict[str, Any] = {"in_feats": in_feats, "node_types": node_types, "positional": positional}
        nodes |= {"positional_size": positional_size, "hidden_size": hidden_size, "input_layer": input_layer}
        self.inputs = NodeInputs(**nodes, input_dropout=input_dropout)
        _check_projected(direct or not self.inputs.projects, kind.initial and layer, virtual_node)
        width = hidden_size * heads if kind.attention and direct else hidden_size
        self.edge_inputs = _build_edge_inputs(kind, edge_features, edge_feats, edge_types, width)
        parts = relational.options(own, edge_types, self_loops)
        read = 0 if self.edge_inputs is None else width
        options = Options(heads, attention_dropout, norm, read, alpha, lambda_, **parts)
        widths = [self.inputs.out_feats, *[width] * (num_layers - 1), num_outputs if direct else width]
        finish = Finish(norm, activation, dropout, residual, feed_forward)
        self.virtual_node = _build_virtual_node(width, num_layers, finish) if virtual_node else None
        self.layers = _build_layers(kind, widths, options, finish, output_heads if direct else None)
        size = width * num_layers if jumping_knowledge == "cat" else width
        self.readout, size = build_readout(readout, size) if level == "graph" else (None, size)
        self.output = build_output(output_layer, size, num_outputs)

    def forward(self, graphs: Graph | list[Graph]) -> Tensor:
        """Map one graph, or one batch of graphs, to logits [N, C] or [B, C].

        A list holds sampled blocks, one for each convolution: the first has the inputs, and the destination nodes of
        each are the sources of the next.

        Raises:
            ValueError: another number of blocks than L, blocks at graph level, or missing inputs.
        """
        blocks = graphs if isinstance(graphs, list) else [graphs]
        sampled = isinstance(graphs, list) or graphs.is_block
        if sampled and self.level == "graph":
            raise ValueError("level is 'graph'; it reads whole graphs, not sampled blocks")
        if sampled and len(blocks) != self.num_layers:
            raise ValueError(f"num_layers is {self.num_layers} but there are {len(blocks)} blocks; sample one a layer")
        blocks = [self.prepare(block) for block in blocks]
        if sampled and self.virtual_node is not None:
            raise ValueError("virtual_node=True reads whole graphs, not sampled blocks")
        blocks = keep_types(blocks) if self.reads_relations and sampled else blocks
        # GatedGCN is all linear maps of its inputs
        lookup = self.takes_lookup and not sampled and self.virtual_node is None
        x: Any
        x, x0 = self.initial(self.inputs(blocks[0].ndata, None if sampled else blocks[0], lookup=lookup))
        # all layers share the edge states of a whole graph; those of a block are advanced to its own layer
        edges: list[Any] = [None] * len(blocks)
        if self.edge_inputs is not None:
            edges = [self.edge_inputs(block.edata, block.num_edges, lookup=lookup) for block in blocks]
        outputs = []
        virtual: Any = None if self.virtual_node is None else self.virtual_node.begin(blocks[0])
        for index, layer in enumerate(self.layers):
            here = index if sampled else 0
            graph = blocks[here]
            before = x if self.virtual_node is None else self.virtual_node.spread(graph, x, virtual)
            x, raw = layer(graph, before, edges[here], x0)
            if layer.edge_norm is not None and not sampled:
                edges = [layer.edges(raw, edges[0])]
            elif layer.edge_norm is not None:
                edges[index + 1 :] = _later_edges(layer, blocks[index + 1 :], before, edges[index + 1 :])
            if self.virtual_node is not None:
                virtual = self.virtual_node(index, graph, before, virtual)
            outputs.append(x)
        return self.conclude(blocks[-1], [x[: blocks[-1].num_nodes] for x in outputs])

    def layerwise(self, graph: Graph, chunk_size: int) -> Tensor:
        """Return exact logits [N, C] of one big graph, in eval mode: see `layerwise.layerwise`."""
        return layerwise(self, graph, chunk_size)

    def prepare(self, graph: Graph) -> Graph:
        """Give the graph this net's engine and self-loops."""
        graph = graph.using(resolve_engine(self.engine, graph.device))
        weighted = self.weights is not None and EDGE_WEIGHT in graph.edata
        if self.edge_inputs is None and graph.edata:  # no layer reads them: self-loops then need no edge features
            read = {name for name, reads in ((EDGE_WEIGHT, weighted), (TYPES, self.reads_relations)) if reads}
            graph = graph.replace(edata={name: x for name, x in graph.edata.items() if name in read})
        prepared = graph.with_self_loops() if self.self_loops else graph
        return prepare_weights(prepared, graph, self.weights == "normalized") if weighted else prepared

    def initial(self, x: Features) -> tuple[Features, Tensor | None]:
        """Return the first convolution's input, and the x0 that GCNII mixes into every layer, else None."""
        if self.activation is None:
            return x, None
        assert isinstance(x, Tensor)  # it has an input layer
        x0 = self.activation(x)
        return dropout(x0, self.dropout, self.training), x0

    def conclude(self, graph: Graph | None, outputs: list[Tensor]) -> Tensor:
        """Map the outputs of the layers, [N, H] each, to logits; `graph` is needed at graph level only."""
        x = JUMPING_KNOWLEDGE[self.jumping_knowledge](outputs)
        return self.output(x if self.readout is None else self.readout(graph, x))

    def block_problem(self, *, exact: bool) -> str | None:
        """Say why a layer of the user's own cannot read a part of a graph; None: it can, like all of LAYERS.

        Args:
            exact: whether a node needs the features that it has in the whole graph, as for `layerwise`.
        """
        if self.reads_relations and isinstance(one := self.layers[0].convolution, PerRelation) and one.normalizes:
            return "divides by degrees within each relation, which a part of a graph does not have"
        if not is_dotted(self.layer):
            return None
        first, edge_feats = self.layers[0], 0 if self.edge_inputs is None else self.edge_inputs.out_feats
        convolution = first.convolution.layers[0] if isinstance(first.convolution, PerRelation) else first.convolution
        return block_problem(convolution, find_layer(self.layer), self.inputs.out_feats, edge_feats, exact=exact)


def _check_choices(**values: Any) -> None:
    for name, value in values.items():
        if not ((name == "residual" and isinstance(value, bool)) or (name in OWN and is_dotted(value))):
            check_choice(name, value, CHOICES[name])


def _check_projected(lacks_layer: bool, initial: str | bool, virtual_node: bool) -> None:
    needs = f"layer={initial!r}" if initial else "virtual_node=True"
    if lacks_layer and (initial or virtual_node):
        raise ValueError(f"{needs} needs input_layer=True and output_layer linear or mlp")


def _is_direct(output_layer: str, **values: str) -> bool:
    """Tell whether the last convolution gives the logits, which some values exclude."""
    direct = output_layer == "none"
    for name, value in values.items():
        if direct and value not in ("node", "none"):
            raise ValueError(f"output_layer is 'none'; {name}={value!r} needs linear or mlp")
    return direct


def _build_edge_inputs(kind: Layer, wanted: bool, feats: int, types: int, width: int) -> EdgeInputs | None:
    feats, types = (feats, 0 if kind.relations else types) if wanted else (0, 0)
    reads = kind.edge_states or (kind.edges and feats + types > 0)
    return EdgeInputs(edge_feats=feats, edge_types=types, hidden_size=width) if reads else None


def _build_virtual_node(width: int, num_layers: int, finish: Finish) -> VirtualNode:
    residual = bool(finish.residual)
    return VirtualNode(width, num_layers, norm=finish.norm, dropout=finish.dropout, residual=residual)


def _build_layers(kind: Layer, widths: list[int], options: Options, finish: Finish, output_heads: int | None) -> Any:
    """Build a ModuleList of L `GraphLayer`; Any, as to a type checker its items are no more than modules.

    Args:
        widths: the features before and after each layer, L + 1 numbers.
        finish: what follows each convolution.
        output_heads: of a last convolution that gives the logits, which nothing follows; None: it gives features.
    """
    layers, num_layers = nn.ModuleList(), len(widths) - 1
    for number, (size, next_size) in enumerate(zip(widths, widths[1:], strict=False), 1):
        own, last = replace(options, number=number), number == num_layers
        after: dict[str, Any] = {"sparse": kind.sparse}
        if last and output_heads is not None:
            own = replace(own, heads=output_heads, concat=False)
        else:
            after |= {"edge_feats": next_size if kind.edge_states and not last else None, **vars(finish)}
        layers.append(GraphLayer(kind.build(size, next_size, own), size, next_size, **after))
    return layers


def _later_edges(layer: Any, blocks: list[Graph], x: Features, edges: list[Tensor]) -> list[Tensor]:
    """Advance the edge states of the later blocks by one layer.

    Their edges may be missing in this layer's block, but their nodes are its first ones: x [S, I] holds them. All
    blocks go through the norm at once, for one set of statistics.
    """
    pairs = zip(blocks, edges, strict=True)
    raw = [layer.convolution.edges(block, first_rows(x, block.num_src), states) for block, states in pairs]
    return list(layer.edges(torch.cat(raw), torch.cat(edges)).split([states.shape[0] for states in edges]))
