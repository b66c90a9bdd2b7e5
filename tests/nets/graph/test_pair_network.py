"""Test that decoders of pairs follow their formulas, and which of them know the order of the ends."""

import pytest
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.nets.graph.pair_network import PairNetwork, build_decoder
from tests.graphs.examples import random_graph

SIZES = dict(in_feats=3, node_types=0, edge_feats=0, edge_types=0, positional_size=0, positional=None, engine="torch")


def test_dot_is_the_inner_product_of_what_the_last_layer_gives():
    graph = random_graph().replace(ndata={"features": torch.randn(random_graph().num_nodes, 3)})
    net = PairNetwork(num_outputs=1, directed=False, embedding_size=5, **SIZES)
    with torch.no_grad():
        x = net(graph)
    pairs = torch.tensor([[0, 1], [2, 2], [1, 0]])
    assert x.shape == (graph.num_nodes, 5)
    assert net.decode(x, pairs).squeeze(1).tolist() == pytest.approx([float(x[u] @ x[v]) for u, v in pairs.tolist()])


@pytest.mark.parametrize("directed", [False, True])
def test_an_mlp_knows_the_order_of_the_ends_of_directed_edges_alone(directed):
    torch.manual_seed(0)
    decoder = build_decoder("mlp", 4, 3, directed=directed, dropout=0.0)
    one, other = torch.randn(2, 6, 4)
    assert decoder(one, other).shape == (6, 3)
    assert torch.allclose(decoder(one, other), decoder(other, one)) != directed


class Distance(torch.nn.Module):
    def __init__(self, feats: int, num_outputs: int, shape: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(num_outputs))

    def forward(self, source: torch.Tensor, destination: torch.Tensor) -> torch.Tensor:
        return -self.scale * (source - destination).square().sum(1, keepdim=True)


class Flat(Distance):
    def forward(self, source: torch.Tensor, destination: torch.Tensor) -> torch.Tensor:
        return super().forward(source, destination).squeeze(1)


def test_a_decoder_of_ones_own_enters_by_its_path_and_is_tried_before_a_run():
    here = f"{__name__}."
    decoder = build_decoder(f"{here}Distance", 4, 2, directed=False, dropout=0.0)
    assert decoder(torch.ones(3, 4), torch.zeros(3, 4)).tolist() == [[-4.0, -4.0]] * 3
    with pytest.raises(UserError, match=r"task.decoder=.*Flat: forward returns \[5\] .* allowed: \[5, 1\]"):
        build_decoder(f"{here}Flat", 4, 1, directed=False, dropout=0.0)
    with pytest.raises(ValueError, match="decoder is 'cat'; it must be one of dot, mlp"):
        build_decoder("cat", 4, 1, directed=False, dropout=0.0)
    with pytest.raises(ValueError, match="decoder='dot' gives one number, but 3 are asked for"):
        build_decoder("dot", 4, 3, directed=False, dropout=0.0)
