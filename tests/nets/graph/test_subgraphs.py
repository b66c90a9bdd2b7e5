"""Test the nets that read subgraphs: what they cut out, their formula, and which graphs they tell apart."""

import networkx as nx
import pytest
import torch

from lightning_dl2.graphs import Graph
from lightning_dl2.nets import LAYERS
from lightning_dl2.nets.graph.subgraphs import MARKS, SubgraphNetwork, extract_subgraphs
from tests.graph_pairs import graph_of, hexagon_and_triangles, rook_and_shrikhande
from tests.nets.graph.graph_cases import ENGINES, INPUTS, C, batch_of_graphs
from tests.nets.graph.test_network import permuted


def plain(found: nx.Graph) -> Graph:
    """Return a graph whose nodes all have the feature 1."""
    graph = graph_of(found)
    return graph.replace(ndata={"features": torch.ones(graph.num_nodes, 1)})


def build(marks: str, *, layer: str = "gin", hops: int = 2, level: str = "graph", **net) -> SubgraphNetwork:
    torch.manual_seed(0)
    sizes = {**INPUTS, "in_feats": 1, "edge_types": 0}
    form = {"level": level, "layer": layer, "hidden_size": 8, "num_layers": 2, "input_layer": True}
    form |= {"output_layer": "linear", "readout": "sum", "num_outputs": C}
    return SubgraphNetwork(marks=marks, hops=hops, **{**sizes, **form, **net}).double().eval()


@pytest.mark.parametrize("hops", [1, 2, 9])
@pytest.mark.parametrize("marks", MARKS)
def test_subgraphs_are_the_ego_graphs_of_networkx(marks, hops):
    found = nx.disjoint_union(nx.gnp_random_graph(9, 0.25, seed=1), nx.path_graph(4))  # the first has a node alone
    graph, reached = graph_of(found), dict(nx.all_pairs_shortest_path_length(found))
    bag = extract_subgraphs(graph, marks, hops)
    wanted = [(i, j) for i in found for j in ([i] if marks == "node" else sorted(found[i]))]
    assert bag.root.tolist() == [i for i, _ in wanted]
    ends = bag.graph.segments().tolist()
    for number, (i, j) in enumerate(wanted):
        start, stop = ends[number : number + 2]
        nodes = bag.node[start:stop].tolist()
        assert nodes == sorted(v for v in found if reached[i].get(v, 99) <= hops)
        labels = [reached[i][v] if marks == "node" else reached[i][v] * (hops + 2) + reached[j][v] for v in nodes]
        assert bag.label[start:stop].tolist() == labels
        inside = (bag.graph.src >= start) & (bag.graph.src < stop)
        pairs = {
            (int(bag.node[s]), int(bag.node[d]))
            for s, d in zip(bag.graph.src[inside], bag.graph.dst[inside], strict=True)
        }
        assert pairs == {(u, v) for u, v in graph_pairs(found) if u in nodes and v in nodes}
    assert torch.equal(bag.node[bag.graph.src], graph.src[bag.edge])
    assert torch.equal(bag.node[bag.graph.dst], graph.dst[bag.edge])


def graph_pairs(found: nx.Graph) -> set[tuple[int, int]]:
    return {pair for u, v in found.edges() for pair in ((u, v), (v, u))}


@pytest.mark.parametrize("marks", MARKS)
@pytest.mark.parametrize("symmetric", [True, False])
def test_the_saved_order_of_edges_is_that_of_a_sort(marks, symmetric):
    graph = batch_of_graphs()
    if symmetric:
        graph = Graph(torch.cat([graph.src, graph.dst]), torch.cat([graph.dst, graph.src]), graph.num_nodes)
    saved = extract_subgraphs(graph, marks, 2).graph
    anew = Graph(saved.src, saved.dst, saved.num_nodes)
    assert saved.is_symmetric == anew.is_symmetric == symmetric
    for here, there in ((saved.in_csr(), anew.in_csr()), (saved.out_csr(), anew.out_csr())):
        assert torch.equal(here[0], there[0]) and torch.equal(here[1], there[1])
    assert torch.equal(saved.src[saved.in_csr()[2]], saved.in_csr()[1])
    assert torch.equal(saved.dst[saved.out_csr()[2]], saved.out_csr()[1])


@pytest.mark.parametrize("marks", MARKS)
def test_the_net_is_its_formula(marks):
    found = nx.gnp_random_graph(7, 0.4, seed=2)
    graph, hops = plain(found), 2
    net = build(marks, hops=hops)
    reached = dict(nx.all_pairs_shortest_path_length(found))
    x = net.inputs({"features": torch.ones(7, 1).double()})[0]
    rows = []
    for i in found:
        nodes = [v for v in found if reached[i].get(v, 99) <= hops]
        adjacency = torch.tensor([[float(found.has_edge(u, v)) for u in nodes] for v in nodes]).double()
        total = torch.zeros(8).double()
        for j in [i] if marks == "node" else found[i]:
            first = [reached[i][v] for v in nodes]
            label = (
                first
                if marks == "node"
                else [d * (hops + 2) + reached[j][v] for d, v in zip(first, nodes, strict=True)]
            )
            h = x + net.labels.weight[label]
            for layer in net.layers:
                gin = layer.convolution
                h = torch.relu(gin.mlp((1 + gin.eps) * h + adjacency @ h))
            total = total + net.of_subgraph(h.sum(0))
        rows.append(net.of_node(total))
    torch.testing.assert_close(
        net(graph.replace(ndata={"features": torch.ones(7, 1).double()}))[0], net.output(sum(rows))
    )


@pytest.mark.slow
@pytest.mark.parametrize("layer", LAYERS)
def test_numbering_and_batches_change_nothing(layer):
    graphs = [plain(nx.gnp_random_graph(7, 0.4, seed=seed)).to("cpu") for seed in (1, 2)]
    graphs = [g.replace(ndata={"features": torch.rand(7, 1).double()}) for g in graphs]
    net = build("edge", layer=layer, norm="batch")
    alone = torch.cat([net(graph) for graph in graphs])
    both = Graph(
        torch.cat([graphs[0].src, graphs[1].src + 7]),
        torch.cat([graphs[0].dst, graphs[1].dst + 7]),
        14,
        batch_num_nodes=torch.tensor([7, 7]),
        ndata={"features": torch.cat([graph.ndata["features"] for graph in graphs])},
    )
    torch.testing.assert_close(net(both), alone)
    torch.testing.assert_close(net(permuted(graphs[0], torch.randperm(7))), alone[:1])
    virtual = build("node", layer=layer, virtual_node=True, feed_forward=True)
    torch.testing.assert_close(virtual(both), torch.cat([virtual(graph) for graph in graphs]))
    node = build("node", layer=layer, level="node")
    order = torch.randperm(7)
    torch.testing.assert_close(node(permuted(graphs[0], order)), node(graphs[0])[order])


@pytest.mark.parametrize("engine", ENGINES)
def test_the_engines_agree_and_all_parameters_learn(engine):
    graph = batch_of_graphs(torch.float64)
    made = {name: INPUTS[name] for name in ("in_feats", "edge_types")} | {"node_types": 5}
    net = build("edge", layer="gine", engine=engine, **made)
    torch.testing.assert_close(net(graph), build("edge", layer="gine", engine="torch", **made)(graph))
    net(graph).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("pair", "strong"), [(hexagon_and_triangles, {"node", "edge"}), (rook_and_shrikhande, {"edge"})]
)
@pytest.mark.parametrize("marks", MARKS)
def test_marks_tell_graphs_apart(pair, strong, marks):
    net = build(marks, jumping_knowledge="cat")
    first, second = (
        net(plain(found).replace(ndata={"features": torch.ones(len(found), 1).double()})) for found in pair()
    )
    assert ((first - second).abs().max() / first.abs().max() > 1e-6) == (marks in strong)


def test_impossible_nets_are_refused():
    with pytest.raises(ValueError, match="input_layer=True"):
        build("node", input_layer=False)
    with pytest.raises(ValueError, match="marks is 'pair'; it must be one of node, edge"):
        build("pair")(plain(nx.path_graph(3)))
    with pytest.raises(ValueError, match="hops is 0"):
        extract_subgraphs(plain(nx.path_graph(3)), "node", 0)
    block, _, _ = plain(nx.path_graph(4)).in_block(0, 2)
    with pytest.raises(ValueError, match="block"):
        extract_subgraphs(block, "node", 1)
    with pytest.raises(ValueError, match="sampled blocks"):
        build("node")([block])
    with pytest.raises(ValueError, match="not chunks"):
        build("node").layerwise(plain(nx.path_graph(3)), 1)


@pytest.mark.parametrize("marks", MARKS)
def test_a_mask_of_edges_reaches_the_subgraphs(marks):
    graph = plain(nx.gnp_random_graph(7, 0.4, seed=1))
    graph = graph.replace(ndata={"features": torch.ones(7, 1).double()})
    net, masked = build(marks), graph.replace()
    masked.edge_mask = torch.ones(graph.num_edges, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(net(masked), net(graph))
    (slope,) = torch.autograd.grad(net(masked).sum(), masked.edge_mask)
    assert bool((slope != 0).all())
