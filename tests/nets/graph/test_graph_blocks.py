"""Test that sampled blocks with all neighbours give the output of the whole graph."""

import pytest
import torch

from lightning_dl2.graphs import Graph, load_dgl
from lightning_dl2.nets import LAYERS
from tests.nets.graph.graph_cases import NEEDS_DGL, build, random_graph


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
    graph = random_graph(60, 80, dtype=torch.float64)
    seeds = 5  # number of first nodes
    for options in ({}, {"jumping_knowledge": "cat"}, {"residual": True, "norm": "batch"}, {"input_layer": False}):
        if layer == "gcnii" and "input_layer" in options:
            continue
        net = build(layer, num_layers=3, heads=2, **options).double().eval()
        blocks = blocks_of(graph, seeds, 3)
        assert blocks[0].num_src < graph.num_nodes
        torch.testing.assert_close(net(blocks), net(graph)[:seeds], rtol=1e-9, atol=1e-9)


@NEEDS_DGL
@pytest.mark.parametrize("layer", LAYERS)
def test_blocks_of_dgls_sampler(layer):
    dgl = load_dgl()
    graph = random_graph(60, 80, dtype=torch.float64)
    sampler = dgl.dataloading.NeighborSampler([-1, -1, -1])
    seeds = torch.tensor([7, 3, 20])
    _, _, theirs = sampler.sample_blocks(graph.to_dgl(), seeds)
    blocks = []
    for block in theirs:
        source, edge = block.srcdata[dgl.NID], block.edata[dgl.EID]
        src, dst = block.edges()
        full = (graph.out_degrees[source], graph.in_degrees[source[: block.num_dst_nodes()]])
        ndata = {name: x[source] for name, x in graph.ndata.items()}
        edata = {name: x[edge] for name, x in graph.edata.items()}
        sizes = {"num_nodes": block.num_dst_nodes(), "num_src": block.num_src_nodes()}
        blocks.append(Graph(src, dst, **sizes, ndata=ndata, edata=edata, full_degrees=full))
    net = build(layer, num_layers=3, residual=True, norm="batch").double().eval()
    torch.testing.assert_close(net(blocks), net(graph)[seeds], rtol=1e-9, atol=1e-9)
    net.train()(blocks).sum().backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []


def test_blocks_that_do_not_fit():
    graph = random_graph()
    with pytest.raises(ValueError, match="num_layers is 2 but there are 3 blocks"):
        build(num_layers=2)(blocks_of(graph, 4, 3))
    with pytest.raises(ValueError, match="num_layers is 2 but there are 1 blocks"):
        build(num_layers=2)(blocks_of(graph, 4, 1)[0])
    with pytest.raises(ValueError, match="level is 'graph'"):
        build(level="graph")(blocks_of(graph, 4, 2))
