"""Test that embeddings and attention weights are those that the net computes, by name and in the order of the rows."""

import csv

import numpy as np
import pytest
import torch

from lightning_dl2 import GraphSetDataModule, NodeDataModule, UserError
from lightning_dl2.inference.graph_outputs import Recorder
from lightning_dl2.inference.predict import _predict
from tests.small import small_graph_net


def compute(task, batches):
    with torch.no_grad():
        return [task.predict_step(batch, 0) for batch in batches]


def record(task, data, parts, **files):
    """Predict `parts` as the command does; return the rows, with the `files` written."""
    recorder = Recorder(task.eval(), data, files)
    rows = _predict(task, data, parts, recorder.wrap(compute))
    recorder.write(rows)
    return rows


@pytest.fixture(scope="module")
def club() -> NodeDataModule:
    return NodeDataModule("karate_club")


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("chunk", [None, 5])
@pytest.mark.parametrize("output_layer", ["none", "mlp"])
def test_the_rest_of_the_net_turns_embeddings_into_the_answers(club, tmp_path, chunk, output_layer, monkeypatch):
    monkeypatch.setattr(club, "chunk", chunk)
    task = small_graph_net(club, layer="gcn", output_layer=output_layer, jumping_knowledge="none")
    rows = record(task, club, ["test", "val"], embeddings=tmp_path / "e.npz")
    found = np.load(tmp_path / "e.npz")
    assert [*found["id"]] == [row["id"] for row in rows] and [*found["split"]] == [row["split"] for row in rows]
    assert found["embeddings"].shape == (32, 8)
    if output_layer == "mlp":
        answers = task.net.output(torch.from_numpy(found["embeddings"])).softmax(-1)
    else:  # the last convolution reads neighbours, too
        everyone = torch.zeros(34, 8)
        index = torch.tensor([int(name) for name in found["id"]])
        everyone[index] = torch.from_numpy(found["embeddings"])
        hidden = task.net.layers[0](task.net.prepare(club.graph), club.graph.ndata["features"], None, None)[0]
        torch.testing.assert_close(everyone[index], hidden[index], rtol=0, atol=1e-6)
        everyone[club.splits["train"]] = hidden[club.splits["train"]]
        answers = task.net.layers[1](task.net.prepare(club.graph), everyone, None, None)[0][index].softmax(-1)
    for row, answer in zip(rows, answers.tolist(), strict=True):
        assert [row["p(Mr. Hi)"], row["p(Officer)"]] == pytest.approx(answer, abs=1e-5)
    record(task, club, ["test", "val"], embeddings=tmp_path / "e.csv")
    table = read(tmp_path / "e.csv")
    assert [row["id"] for row in table] == [*found["id"]] and [*table[0]] == [
        "id",
        "split",
        *(f"h{i}" for i in range(8)),
    ]
    assert [float(row["h3"]) for row in table] == found["embeddings"][:, 3].tolist()


@pytest.mark.parametrize("layer", ["gat", "gatv2"])
def test_attention_is_a_weight_for_each_edge_layer_and_head(club, tmp_path, layer):
    task = small_graph_net(club, layer=layer, heads=2, attention_dropout=0.5)
    record(task, club, ["train", "test"], attention=tmp_path / "a.csv")
    table = read(tmp_path / "a.csv")
    assert [*table[0]] == ["src", "dst", "layer1/head1", "layer1/head2", "layer2/head1"]
    assert len(table) == 2 * 78 + 34  # both directions, and the self-loops that the net adds
    pairs = {(row["src"], row["dst"]) for row in table}
    assert pairs == {(str(a), str(b)) for a, b in zip(club.set.src.tolist(), club.set.dst.tolist(), strict=True)} | {
        (str(node), str(node)) for node in range(34)
    }
    for column in ("layer1/head2", "layer2/head1"):
        sums = dict.fromkeys(map(str, range(34)), 0.0)
        for row in table:
            sums[row["dst"]] += float(row[column])
        assert [*sums.values()] == pytest.approx([1.0] * 34, abs=1e-5)
    record(task, club, ["test"], attention=tmp_path / "a.npz")
    arrays = np.load(tmp_path / "a.npz")
    assert arrays["layer1"].shape == (190, 2) and [*arrays["src"]] == [row["src"] for row in table]


def test_of_many_graphs_nodes_are_named_by_their_graph(tmp_path):
    sizes = {"num_graphs": 16, "min_nodes": 6, "max_nodes": 7, "num_folds": 4, "evaluation_batch_size": 2}
    data = GraphSetDataModule("minigc", **sizes)
    task = small_graph_net(data, layer="gat")
    rows = record(task, data, ["test"], embeddings=tmp_path / "e.npz", attention=tmp_path / "a.csv")
    assert np.load(tmp_path / "e.npz")["embeddings"].shape == (len(rows), 8)
    table, graphs = read(tmp_path / "a.csv"), [row["id"] for row in rows]
    seen = [row["src"].split("/")[0] for row in table]
    assert [*dict.fromkeys(seen)] == graphs
    for graph in graphs:  # each edge and a self-loop a node
        assert seen.count(graph) == int(data.set.num_edges[int(graph)] + data.set.num_nodes[int(graph)])


def test_what_a_net_has_not_is_refused(club, tmp_path):
    with pytest.raises(UserError, match=r"attention=a.csv: a net of task.layer=gcn has no attention .*; allowed: "):
        Recorder(small_graph_net(club), club, {"attention": "a.csv"})
    with pytest.raises(UserError, match=r"embeddings=e.csv: a net of one layer and no output layer .*; allowed: "):
        Recorder(small_graph_net(club, num_layers=1), club, {"embeddings": "e.csv"})
    with pytest.raises(UserError, match=r"embeddings=e.csv: the run has no graph network; allowed: "):
        Recorder(object(), club, {"embeddings": "e.csv"})


def test_attention_within_subgraphs_is_refused(tmp_path):
    data = GraphSetDataModule("csl")
    net = small_graph_net(data, layer="gat", subgraphs="node", subgraph_hops=1)
    with pytest.raises(
        UserError, match="attention=.*each subgraph has attention of its own; allowed: .*subgraphs=none"
    ):
        Recorder(net, data, {"attention": tmp_path / "a.csv"})
