"""Test that evaluation layer by layer in chunks equals a forward pass."""

import pytest
import torch

from lightning_dl2.graphs import SparseMatrix
from lightning_dl2.nets import LAYERS
from tests.nets.graph.graph_cases import EDGE, ENGINES, build, papers, random_graph

OPTIONS = [
    {"norm": "batch", "residual": True, "edge_feats": EDGE},
    {"jumping_knowledge": "cat", "output_layer": "mlp", "self_loops": True},
    {"node_types": 5, "positional_size": 3, "positional": "laplacian", "edge_features": False},
    {"norm": "layer", "residual": "linear"},
]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("layer", LAYERS)
def test_it_is_the_forward_pass(layer, engine):
    graph = random_graph(dtype=torch.float64)
    nets = [build(layer, num_layers=3, heads=2, engine=engine, dropout=0.5, **options) for options in OPTIONS]
    if layer != "gcnii":
        nets.append(papers(layer, heads=2, output_heads=3, engine=engine, input_dropout=0.5))
    for net in nets:
        net.double()(graph)  # updates the running statistics
        net.eval()
        torch.testing.assert_close(net.layerwise(graph, 7), net(graph), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("chunk_size", [1, 19, 20, 21, 10**9])
def test_any_size_of_chunk(chunk_size):
    graph = random_graph(dtype=torch.float64)
    net = build("gatedgcn", jumping_knowledge="max").double().eval()
    torch.testing.assert_close(net.layerwise(graph, chunk_size), net(graph), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("layer", LAYERS)
def test_sparse_features(layer):
    graph = random_graph(dtype=torch.float64)
    sparse = graph.replace(ndata={"features": SparseMatrix.from_dense(graph.ndata["features"])})
    for net in [build(layer)] + ([papers(layer)] if layer != "gcnii" else []):
        net.double().eval()
        torch.testing.assert_close(net.layerwise(sparse, 7), net(graph), rtol=1e-10, atol=1e-10)


def test_it_keeps_no_gradient_and_wants_eval_mode():
    graph = random_graph()
    assert not build("sage").eval().layerwise(graph, 8).requires_grad
    with pytest.raises(ValueError, match="training mode"):
        build("sage").layerwise(graph, 8)
    with pytest.raises(ValueError, match="chunk_size is 0; it must be >= 1"):
        build("sage").eval().layerwise(graph, 0)
    with pytest.raises(ValueError, match="level is 'graph'"):
        build("sage", "graph").eval().layerwise(graph, 8)
