"""Test the reliable paired comparison: its statistic, its control, and nets of known strength."""

import pytest
import torch
from torch import nn

from lightning_dl2.analysis.brec.comparison import COPIES, OUTPUTS, THRESHOLD, Training, Verdict, compare, hotelling
from lightning_dl2.analysis.brec.nets import build_net, parse_net
from lightning_dl2.common.errors import UserError
from tests.graph_pairs import graph_of, hexagon_and_triangles, rook_and_shrikhande

TRAINING = Training(epochs=2, learning_rate=1e-3)


def run(name, pair, *, seed=0, net=None):
    torch.manual_seed(seed)
    kind = parse_net(name)
    net = net or build_net(kind, num_layers=2, hidden_size=8, encoding_size=4, hops=2)
    positional = (kind.positional, 4) if kind.positional else None
    first, second = map(graph_of, pair)
    generator = torch.Generator().manual_seed(seed)
    return compare(net, first, second, TRAINING, positional=positional, generator=generator)


def test_the_threshold_is_the_papers():
    stats = pytest.importorskip("scipy.stats")
    factor = (COPIES - 1) * OUTPUTS / (COPIES - OUTPUTS)
    assert factor * stats.f.ppf(0.95, OUTPUTS, COPIES - OUTPUTS) == pytest.approx(THRESHOLD, abs=0.01)


def test_the_statistic_is_its_formula():
    torch.manual_seed(0)
    differences = torch.randn(COPIES, 3).double() + torch.tensor([0.1, 0.2, 0.3])
    mean = differences.mean(0)
    centred = differences - mean
    covariance = centred.T @ centred / (COPIES - 1)
    assert hotelling(differences) == pytest.approx((mean @ torch.linalg.solve(covariance, mean)).item())
    constant = torch.tensor([[0.0, 2**-7]]).repeat(COPIES, 1)  # copies with the very same outputs
    assert hotelling(constant) == pytest.approx(2**-14 / 1e-7)
    assert hotelling(torch.zeros(COPIES, 2)) == 0


@pytest.mark.parametrize(
    ("verdict", "apart", "reliable"),
    [
        (Verdict(1e6, 1.0), True, True),
        (Verdict(1.0, 1.0), False, True),
        (Verdict(1e6, 80.0), False, False),
        (Verdict(80.0, 80.0), False, False),
    ],
)
def test_a_pair_counts_if_the_control_does_not(verdict, apart, reliable):
    assert (verdict.distinguished, verdict.reliable) == (apart, reliable)


@pytest.mark.parametrize(
    ("name", "pair", "apart"),
    [
        ("gin", hexagon_and_triangles(), False),
        ("gin+random_walk", hexagon_and_triangles(), True),
        ("node:gin", hexagon_and_triangles(), True),
        pytest.param("node:gin", rook_and_shrikhande(), False, marks=pytest.mark.slow),
        pytest.param("edge:gin", rook_and_shrikhande(), True, marks=pytest.mark.slow),
    ],
)
def test_nets_tell_apart_what_they_can(name, pair, apart):
    verdict = run(name, pair)
    assert (verdict.distinguished, verdict.reliable) == (apart, True)


def test_a_net_that_reads_the_place_in_the_batch_fails_the_control():
    class ByPlace(nn.Module):
        """Give the first of two graphs other numbers than the second, whatever they are."""

        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(OUTPUTS))

        def forward(self, graph):
            places = torch.arange(graph.batch_size)[:, None] % 2
            return (places + 0.01 * torch.rand(graph.batch_size, OUTPUTS)) * self.scale

    verdict = run("gin", hexagon_and_triangles(), net=ByPlace())
    assert verdict.statistic > THRESHOLD and not verdict.reliable and not verdict.distinguished


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gon", "net=gon: did you mean gin"),
        ("pair:gin", "net=pair:gin: .*allowed: node, edge.*before the colon"),
        ("gin+walk", r"net=gin\+walk: .*laplacian, random_walk.*after the plus sign"),
    ],
)
def test_names_that_do_not_exist_are_told(name, says):
    with pytest.raises(UserError, match=says):
        parse_net(name)
