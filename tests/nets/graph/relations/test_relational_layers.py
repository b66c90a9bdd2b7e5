"""Test layers that read relations: against a dense computation, DGL, whole graphs, blocks and chunks."""

import pytest
import torch

from lightning_dl2.graphs import Graph, NeighborBlocks, load_dgl
from lightning_dl2.nets import GATConv, GCNConv, GINConv, GraphNetwork, PerRelation, RGCNConv, SAGEConv
from lightning_dl2.nets.graph.relations.choose import Relations
from lightning_dl2.nets.graph.relations.split import split_relations
from tests.nets.graph.graph_cases import ENGINES, NEEDS_DGL

NAMES = [("user", "follows", "user"), ("user", "rates", "film"), ("film", "liked_by", "user")]
SIZES = {"user": 7, "film": 5}
ENDS = [(0, 0), (0, 1), (1, 0)]
IN, OUT, N = 6, 4, 12
KINDS = {
    "gcn": (lambda: GCNConv(IN, OUT), lambda dgl: dgl.GraphConv(IN, OUT, allow_zero_in_degree=True)),
    "sage": (lambda: SAGEConv(IN, OUT), lambda dgl: dgl.SAGEConv(IN, OUT, "mean")),
    "gat": (lambda: GATConv(IN, 2, 2), lambda dgl: dgl.GATConv(IN, 2, 2, allow_zero_in_degree=True)),
    "gin": (
        lambda: GINConv(IN, OUT, hidden_sizes=()),
        lambda dgl: dgl.GINConv(torch.nn.Linear(IN, OUT), learn_eps=True),
    ),
}


def edges(seed: int = 0) -> dict[tuple[str, str, str], tuple[torch.Tensor, torch.Tensor]]:
    """Draw nine edges of each relation, by the numbers of nodes within their types."""
    generator = torch.Generator().manual_seed(seed)

    def ends(kind: str) -> torch.Tensor:
        return torch.randint(SIZES[kind], (9,), generator=generator)

    return {name: (ends(name[0]), ends(name[2])) for name in NAMES}


def whole(engine: str = "torch", features: int = IN) -> Graph:
    """Return the graph of all relations: users 0 to 6, then films 7 to 11, edges in a random order."""
    start = {"user": 0, "film": 7}
    found = edges()
    src = torch.cat([found[name][0] + start[name[0]] for name in NAMES])
    dst = torch.cat([found[name][1] + start[name[2]] for name in NAMES])
    kinds, order = torch.arange(3).repeat_interleave(9), torch.randperm(27, generator=torch.Generator().manual_seed(1))
    x = torch.randn(N, features, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    ndata = {"types": torch.tensor([0] * 7 + [1] * 5), "features": x}
    return Graph(src[order], dst[order], N, ndata=ndata, edata={"types": kinds[order]}, engine=engine)


def network(layer: str = "rgcn", **options) -> GraphNetwork:
    torch.manual_seed(0)
    relations = Relations(ends=ENDS, **{key: options.pop(key) for key in ("combine",) if key in options})
    sizes = {"in_feats": IN, "node_types": 2, "edge_feats": 0, "edge_types": 3, "positional_size": 0}
    net = GraphNetwork(
        **sizes, positional=None, num_outputs=3, level="node", layer=layer, relational=relations, hidden_size=8,
        **{"output_layer": "linear", **options},
    )  # fmt: skip
    return net.double().eval()


@pytest.mark.parametrize(("decomposition", "num_bases"), [("none", None), ("basis", 2), ("block", 2)])
@pytest.mark.parametrize("engine", ENGINES)
def test_rgcn_is_the_dense_sum_of_equation_2(engine, decomposition, num_bases):
    torch.manual_seed(0)
    graph, x = whole(engine), whole().ndata["features"]
    layer = RGCNConv(IN, OUT, 3, decomposition=decomposition, num_bases=num_bases).double()
    torch.nn.init.normal_(layer.bias)
    expected = x @ layer.loop + layer.bias
    for number in range(3):
        if decomposition == "basis":  # equation 3
            weight = sum(layer.coefficients[number, base] * layer.weight[base] for base in range(2))
        else:
            weight = layer.weight[number] if decomposition == "none" else torch.block_diag(*layer.weight[number])
        adjacency = torch.zeros(N, N, dtype=torch.float64)
        chosen = graph.edata["types"] == number
        adjacency.index_put_((graph.dst[chosen], graph.src[chosen]), torch.ones(9).double(), accumulate=True)
        expected = expected + adjacency / adjacency.sum(1, keepdim=True).clamp(min=1) @ x @ weight
    torch.testing.assert_close(layer(graph, x), expected, rtol=1e-10, atol=1e-10)


@NEEDS_DGL
@pytest.mark.parametrize(("decomposition", "theirs"), [("none", None), ("basis", "basis"), ("block", "bdd")])
def test_rgcn_is_dgls_rel_graph_conv(decomposition, theirs):
    graph = whole("dgl")
    bases = None if theirs is None else 2
    layer = RGCNConv(IN, OUT, 3, decomposition=decomposition, num_bases=bases).double()
    other = load_dgl().nn.RelGraphConv(IN, OUT, 3, theirs, bases).double()
    other.h_bias.data, other.loop_weight.data = layer.bias.data, layer.loop.data
    other.linear_r.W.data = layer.weight.data.reshape(other.linear_r.W.shape)
    if decomposition == "basis":
        other.linear_r.coeff.data = layer.coefficients.data
    x, types = graph.ndata["features"], graph.edata["types"]
    counts = torch.zeros(N, 3).double().index_put((graph.dst, types), torch.ones(27).double(), accumulate=True)
    expected = other(graph.to_dgl(), x, types, 1 / counts[graph.dst, types, None])
    torch.testing.assert_close(layer(graph, x), expected, rtol=1e-10, atol=1e-10)


@NEEDS_DGL
@pytest.mark.parametrize("combine", ["sum", "mean"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_of_each_relation_is_dgls_hetero_graph_conv(kind, combine):
    torch.manual_seed(0)
    ours, theirs = KINDS[kind]
    layers = [ours().double() for _ in NAMES]
    layer = PerRelation(layers, ends=ENDS, combine=combine, loop=False, sizes=(IN, OUT))
    dgl, mods = load_dgl(), {}
    for one, (_, name, _) in zip(layers, NAMES, strict=True):
        mods[name] = mod = theirs(dgl.nn).double()
        known = [torch.randn_like(parameter) for parameter in one.parameters()]
        for parameter, value in zip(one.parameters(), known, strict=True):
            parameter.data = value
        if kind == "gcn":
            mod.weight.data, mod.bias.data = one.fc.weight.data.t(), one.bias.data
        elif kind == "sage":
            mod.load_state_dict(one.state_dict())
        elif kind == "gat":
            mod.fc.weight.data, mod.bias.data = one.fc.weight.data, one.bias.data
            mod.attn_l.data, mod.attn_r.data = one.attn_l.data[None], one.attn_r.data[None]
        else:
            mod.apply_func.load_state_dict(one.mlp[0].state_dict())
            mod.eps.data = one.eps.data[None]
    g = dgl.heterograph(edges(), num_nodes_dict=SIZES)
    x = whole().ndata["features"]
    expected = dgl.nn.HeteroGraphConv(mods, combine)(g, {"user": x[:7], "film": x[7:]})
    expected = torch.cat([expected["user"].flatten(1), expected["film"].flatten(1)])
    torch.testing.assert_close(layer(whole("dgl"), x), expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(layer(whole(), x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("layer", "combine"), [("rgcn", None), ("sage", "mean"), ("gat", "sum"), ("gin", "sum")])
def test_blocks_and_chunks_are_the_whole_graph(layer, combine):
    graph, net = whole(), network(layer, combine=combine)
    with torch.no_grad():
        expected = net(graph)
        blocks = NeighborBlocks(graph, [-1, -1]).sample(torch.tensor([8, 2, 0]), seed=0)
        torch.testing.assert_close(net(blocks), expected[[8, 2, 0]], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(net.layerwise(graph, 5), expected, rtol=1e-10, atol=1e-10)


def test_every_parameter_gets_a_gradient_where_a_block_lacks_a_relation():
    only = whole()
    kept = only.edata["types"] == 1
    graph = Graph(only.src[kept], only.dst[kept], N, ndata=only.ndata, edata={"types": only.edata["types"][kept]})
    for layer, combine in (("rgcn", None), ("sage", "sum"), ("gat", "mean"), ("gcn", "sum")):
        for nodes in ([8], [2]):
            net = network(layer, combine=combine).train()
            given = graph if layer == "gcn" else NeighborBlocks(graph, [2, 2]).sample(torch.tensor(nodes), seed=0)
            net(given).sum().backward()
            assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []


def test_weights_multiply_messages_and_gcn_divides_them_within_a_relation():
    graph, x = whole(), whole().ndata["features"]
    weights = torch.rand(27, dtype=torch.float64) + 0.5
    weighted = graph.replace(edata={**graph.edata, "edge_weight": weights})
    layer = RGCNConv(IN, OUT, 3).double()
    ones = graph.replace(edata={**graph.edata, "edge_weight": torch.ones(27).double()})
    torch.testing.assert_close(layer(ones, x), layer(graph, x))
    assert not torch.allclose(layer(weighted, x), layer(graph, x))
    options = {"ends": ENDS, "combine": "sum", "loop": False, "sizes": (IN, OUT)}
    gcn = PerRelation([GCNConv(IN, OUT).double() for _ in NAMES], normalizes=True, **options)
    torch.testing.assert_close(gcn(ones, x), gcn(graph, x))
    scaled = graph.replace(edata={**graph.edata, "edge_weight": 3 * weights})
    torch.testing.assert_close(gcn(scaled, x), gcn(weighted, x))


def test_a_type_without_an_incoming_relation_keeps_its_features():
    graph = whole()
    kept = graph.edata["types"] == 1  # user rates film alone
    one_way = Graph(graph.src[kept], graph.dst[kept], N, ndata=graph.ndata, edata={"types": torch.zeros(9).long()})
    sizes = {"in_feats": IN, "node_types": 2, "edge_feats": 0, "edge_types": 1, "positional_size": 0}
    made = {"positional": None, "num_outputs": 3, "level": "node", "layer": "sage"}
    torch.manual_seed(0)
    net = GraphNetwork(**sizes, **made, relational=Relations("sum", [(0, 1)])).double()
    assert [layer.convolution.loop is not None for layer in net.layers] == [True, True]
    assert len(net(one_way)[:7].detach().unique(dim=0)) == 7
    both = GraphNetwork(**{**sizes, "edge_types": 2}, **made, relational=Relations("sum", [(0, 1), (1, 0)]))
    assert both.layers[0].convolution.loop is None


def test_parts_are_made_once_for_the_same_types():
    graph = whole()
    parts = split_relations(graph, 3, ENDS, all_nodes=True)
    assert split_relations(graph.replace(), 3, ENDS, all_nodes=True) is parts
    other = graph.replace(edata={"types": (graph.edata["types"] + 1) % 3})
    found = split_relations(other, 3, None, all_nodes=True)
    assert [sorted(part.edges.tolist()) for part in found] == [
        (other.edata["types"] == number).nonzero().flatten().tolist() for number in range(3)
    ]
    again = split_relations(graph, 3, None, all_nodes=True)
    assert not torch.equal(again[0].edges, found[0].edges)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "sage", "combine": "max"}, "relations is 'max'; it must be one of sum, mean, ignore"),
        ({"layer": "gcnii", "combine": "sum"}, "not with layer='gcnii'"),
        ({"layer": "rgcn", "combine": "mean"}, "not with layer='rgcn'"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        network(**options, input_layer=True)


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match="decomposition='basis' needs 1 or more"):
        RGCNConv(IN, OUT, 3, decomposition="basis")
    with pytest.raises(ValueError, match="num_bases is 4; blocks must divide 6 and 4 features"):
        RGCNConv(IN, OUT, 3, decomposition="block", num_bases=4)
    with pytest.raises(ValueError, match="no types of edges, and the net reads 3 relations"):
        RGCNConv(IN, OUT, 3)(whole().replace(edata={}).replace(), torch.randn(N, IN))
    with pytest.raises(ValueError, match="relations is 'sum', but the edges of these data have no types"):
        Relations("sum").apply("gcn", None, 0)
