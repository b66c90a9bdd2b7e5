"""Test that sampled blocks with all neighbours give the output of the whole graph."""

from itertools import product

import pytest
import torch

from lightning_dl2.graphs import Graph, NeighborBlocks
from lightning_dl2.nets import LAYERS
from tests.nets.graph.graph_cases import ENGINES, build, random_graph


def blocks_of(graph: Graph, seeds: int, num_layers: int) -> list[Graph]:
    """Return the blocks with all neighbours of the first nodes, in the order of the layers."""
    blocks, nodes = [], torch.arange(seeds)
    for _ in range(num_layers):
        # in_block needs consecutive destinations, so the nodes are renumbered
        order = torch.cat([nodes, torch.arange(graph.num_nodes)[~torch.isin(torch.arange(graph.num_nodes), nodes)]])
        place = torch.argsort(order)
        block, source, edge = Graph(place[graph.src], place[graph.dst], graph.num_nodes).in_block(0, len(nodes))
        nodes = order[source]
        ndata = {name: x[nodes] for name, x in graph.ndata.items()}
        blocks.insert(0, block.replace(ndata=ndata, edata={name: x[edge] for name, x in graph.edata.items()}))
    return blocks


@pytest.mark.parametrize("layer", LAYERS)
def test_blocks_with_all_neighbours_are_the_graph(layer):
    plain, seeds = random_graph(60, 80, dtype=torch.float64), 5  # number of first nodes
    cases = ({}, {"jumping_knowledge": "cat"}, {"residual": True, "norm": "batch"}, {"input_layer": False})
    for graph, options in product((plain, with_self_loops_at(plain, 20)), cases):
        if layer == "gcnii" and "input_layer" in options:
            continue
        net = build(layer, num_layers=3, heads=2, **options).double().eval()
        blocks = blocks_of(graph, seeds, 3)
        assert blocks[0].num_src < graph.num_nodes
        torch.testing.assert_close(net(blocks), net(graph)[:seeds], rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("self_loops", ["none", "some"])
@pytest.mark.parametrize("layer", LAYERS)
def test_sampled_blocks_of_large_fanouts_are_the_graph(layer, self_loops, engine):
    """A fanout of all degrees gives the whole graph's logits, whether it has self-loops or not."""
    graph = with_self_loops_at(random_graph(60, 80, dtype=torch.float64), 20 if self_loops == "some" else 0)
    seeds = torch.tensor([7, 3, 20])
    for added in (None, True, False):
        net = build(layer, num_layers=3, residual=True, norm="batch", self_loops=added, engine=engine).double().eval()
        blocks = NeighborBlocks(graph, [int(graph.in_degrees.max())] * 3).sample(seeds, seed=0)
        assert blocks[0].num_src < graph.num_nodes
        torch.testing.assert_close(net(blocks), net(graph)[seeds], rtol=1e-9, atol=1e-9)
    net.train()(blocks).sum().backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []


def with_self_loops_at(graph: Graph, count: int) -> Graph:
    """Drop the graph's self-loops and give one to each of the first nodes, two to every third of these."""
    others, loops = graph.src != graph.dst, torch.cat([torch.arange(count), torch.arange(0, count, 3)])
    ends = (torch.cat([end[others], loops]) for end in (graph.src, graph.dst))
    edata = {name: torch.cat([x[others], x[: len(loops)]]) for name, x in graph.edata.items()}
    return Graph(*ends, graph.num_nodes, ndata=graph.ndata, edata=edata)


@pytest.mark.parametrize("layer", LAYERS)
def test_without_some_edges_blocks_are_those_of_the_graph_without_them(layer):
    graph = with_self_loops_at(random_graph(60, 80, dtype=torch.float64), 20)
    leave_out, kept = torch.arange(0, graph.num_edges, 4), torch.arange(graph.num_edges) % 4 > 0
    edata = {name: x[kept] for name, x in graph.edata.items()}
    rest = Graph(graph.src[kept], graph.dst[kept], graph.num_nodes, ndata=graph.ndata, edata=edata)
    net, seeds = build(layer, num_layers=2).double().eval(), torch.tensor([7, 3, 20])
    blocks = NeighborBlocks(graph, [-1, -1]).sample(seeds, seed=0, leave_out=leave_out)
    torch.testing.assert_close(net(blocks), net(rest)[seeds], rtol=1e-9, atol=1e-9)


def test_blocks_that_do_not_fit():
    graph = random_graph()
    with pytest.raises(ValueError, match="num_layers is 2 but there are 3 blocks"):
        build(num_layers=2)(blocks_of(graph, 4, 3))
    with pytest.raises(ValueError, match="num_layers is 2 but there are 1 blocks"):
        build(num_layers=2)(blocks_of(graph, 4, 1)[0])
    with pytest.raises(ValueError, match="level is 'graph'"):
        build(level="graph")(blocks_of(graph, 4, 2))
