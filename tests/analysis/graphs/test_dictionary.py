"""Test that GATv2 learns a dictionary lookup and that GAT, whose queries all prefer the same key, cannot."""

import pytest
import torch

from lightning_dl2.analysis.graphs import dictionary
from lightning_dl2.analysis.graphs.dictionary import LookupNet, build_dictionaries, draw_values, fit_lookup
from lightning_dl2.common.files import read_rows


def test_every_query_sees_every_key_of_its_own_dictionary():
    graph = build_dictionaries(3, torch.tensor([[2, 0, 1], [0, 1, 2]]))
    edges = {(src, dst) for src, dst in zip(graph.src.tolist(), graph.dst.tolist(), strict=True)}
    assert edges == {(first + 3 + key, first + query) for first in (0, 6) for key in range(3) for query in range(3)}
    keys = graph.ndata["features"][3:6]
    assert keys[:, :3].argmax(1).tolist() == [0, 1, 2] and keys[:, 3:].argmax(1).tolist() == [2, 0, 1]
    assert not graph.ndata["features"][:3, 3:].any()  # a query does not know its value


@pytest.mark.parametrize("seed", range(20))
def test_whatever_its_weights_gat_ranks_the_keys_alike_for_all_queries(seed):
    torch.manual_seed(seed)
    graph = build_dictionaries(6, draw_values(4, 6, torch.Generator().manual_seed(seed)))
    net = LookupNet("gat", 6).double()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    graph = graph.replace(ndata={"features": graph.ndata["features"].double()})
    attention = net.attention(graph)
    best = attention.argmax(2)
    assert torch.equal(best, best[:, :1].expand_as(best))


@pytest.mark.slow
def test_gatv2_finds_each_querys_own_key_and_gat_does_not():
    net, accuracy = fit_lookup("gatv2", 8)
    assert accuracy > 0.95
    assert net.attention(build_dictionaries(8, torch.arange(8)[None]))[0].argmax(1).tolist() == list(range(8))
    _, accuracy = fit_lookup("gat", 8)
    assert accuracy < 0.4


def test_a_net_is_tested_on_dictionaries_that_it_was_not_trained_on(monkeypatch):
    drawn = []
    monkeypatch.setattr(dictionary, "draw_values", lambda *args: drawn.append(draw_values(*args)) or drawn[-1])
    net, accuracy = fit_lookup("gatv2", 4, steps=20)
    assert len(drawn) == 1 + 20 + 1  # one draw for the structure, 20 steps, the test

    def share(values):
        return (net(build_dictionaries(4, values)).argmax(2) == values).float().mean().item()

    assert accuracy == share(drawn[-1]) and accuracy not in map(share, drawn[:-1])


@pytest.mark.slow
def test_each_seed_has_weights_of_its_own_and_stands_in_the_table(monkeypatch, tmp_path):
    fitted = {}

    def fit_briefly(layer, num_keys, *, seed):
        net, accuracy = fit_lookup(layer, num_keys, seed=seed, steps=1)
        fitted[layer, num_keys, seed] = net, accuracy
        return net, accuracy

    for name, value in (("fit_lookup", fit_briefly), ("NUM_KEYS", (2, 3)), ("SHOWN", 3)):
        monkeypatch.setattr(dictionary, name, value)
    dictionary.write(tmp_path, seed=5)
    rows = read_rows(tmp_path / "lookup.csv")
    told = {(row["layer"], int(row["keys"]), int(row["seed"])): float(row["accuracy"]) for row in rows}
    assert told == {key: pytest.approx(accuracy) for key, (_, accuracy) in fitted.items()}
    assert {seed for *_, seed in told} == {5, 6, 7} and len(told) == 2 * 2 * 3
    first, second = (fitted["gat", 3, seed][0].output.weight for seed in (5, 6))
    assert (first - second).abs().max() > 0.1  # a step of Adam changes by 0.02
