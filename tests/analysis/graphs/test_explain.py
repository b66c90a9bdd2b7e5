"""Test that explanations are complete, find what was planted, and are of the whole graph's answer."""

import csv
from dataclasses import replace

import pytest
import torch

from lightning_dl2 import GraphNet, GraphSetDataModule, LinkDataModule, NodeDataModule, UserError
from lightning_dl2.analysis.graphs import explain as command
from lightning_dl2.analysis.graphs.attribution import explain, find_item
from lightning_dl2.analysis.graphs.explain_figure import draw
from lightning_dl2.data.graph_files.graph_sets import NodeSet
from lightning_dl2.nets.graph.layers import LAYERS
from tests.small import small_graph_net


@pytest.fixture(scope="module")
def planted() -> NodeDataModule:
    """Return a graph where a node is "near" if a neighbour has the feature 2; the other features are noise."""
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randint(300, (2, 420), generator=generator)
    one, other = one[one != other], other[one != other]
    src, dst = torch.cat([one, other]), torch.cat([other, one])
    x = torch.randn(300, 5, generator=generator) / 2
    x[:, 2] = (torch.rand(300, generator=generator) < 0.2).float()
    near = torch.zeros(300).index_add(0, dst, x[src, 2]) > 0
    graph = NodeSet(src, dst, 300, x, near.long(), ["far", "near"], node_ids=[f"n{number}" for number in range(300)])
    return NodeDataModule(graph, split="random", train_per_class=80, validation_size=10)


@pytest.fixture(scope="module")
def trained(planted):
    task = small_graph_net(planted, layer="sage", num_layers=1, output_layer="linear")
    optimizer = torch.optim.Adam(task.parameters(), lr=0.05, weight_decay=0.01)
    batch = planted.train_batch(0)
    for _ in range(80):
        optimizer.zero_grad()
        loss = task.training_step(batch, 0)["loss"]
        loss.backward()
        optimizer.step()
    assert loss < 0.3
    return task.eval()


@pytest.mark.slow
def test_the_planted_feature_and_edges_rank_above_the_others(planted, trained):
    x, src, dst = planted.set.features, planted.set.src, planted.set.dst
    checked = 0
    for node in planted.splits["train"].tolist():
        causes = {int(one) for one in src[dst == node] if x[one, 2] > 0}
        if not 0 < len(causes) < int((dst == node).sum()):
            continue
        found = explain(trained, planted, node, output=1)
        assert found.centre_names == [f"n{node}"] and found.reads_edges and abs(found.found.residual) <= 1e-4
        assert int(found.features.sum(0).argmax()) == 2  # the feature that was planted
        strongest = found.edges.argsort(descending=True)[: len(causes)]
        assert {found.nodes[found.src[edge]] for edge in strongest} == {f"n{cause}" for cause in causes}
        assert {found.nodes[found.dst[edge]] for edge in strongest} == {f"n{node}"}
        checked += 1
        if checked == 3:
            break
    assert checked == 3


@pytest.mark.slow
@pytest.mark.parametrize("layer", [name for name in LAYERS if name != "gine"])  # without edge features it is gin
def test_attributions_are_complete_and_of_the_whole_graphs_answer(planted, layer):
    """The part of the graph that a node reads gives the answer of the whole graph; all shares add up to it."""
    ends = {"input_layer": True, "output_layer": "linear"} if layer == "gcnii" else {}
    task = small_graph_net(planted, layer=layer, norm="none", activation="elu", hidden_size=16, **ends).eval()
    found = explain(task, planted, 7, output=0, tolerance=1e-4, limit=400)
    with torch.no_grad():
        answer = task(planted.alone(7))[0, 0].item()
    assert found.found.answer == pytest.approx(answer, abs=1e-5)
    total = float(found.features.sum() + found.edges.sum())
    assert total == pytest.approx(found.found.answer - found.found.baseline, abs=1e-4)
    assert len(found.nodes) < 300 and bool((found.edges != 0).any()) == found.reads_edges == (layer != "mlp")


@pytest.mark.parametrize("layer", ["gcn", "gat"])
def test_edges_with_weights(planted, layer):
    """Weights are normalised once, over the whole graph."""
    weights = torch.arange(len(planted.set.src)) % 5 / 2
    weighted = NodeDataModule(replace(planted.set, edge_weights=weights), split="random", validation_size=10)
    task = small_graph_net(weighted, layer=layer, activation="elu").eval()
    found = explain(task, weighted, 7, output=0)
    with torch.no_grad():
        answer = task(weighted.alone(7))[0, 0].item()
    assert found.found.answer == pytest.approx(answer, abs=1e-5) and abs(found.found.residual) <= 1e-4
    assert len(found.nodes) < 300


def test_of_a_graph_with_types_each_node_has_its_share(tmp_path):
    data = GraphSetDataModule("pattern", num_graphs=6, min_nodes=2, max_nodes=3, num_folds=3, validation_fraction=0.3)
    task = small_graph_net(data, layer="sage", activation="elu").eval()
    number = find_item(data, "2/3")
    found = explain(task, data, number, output=1)
    assert found.columns == ["type"] and abs(found.found.residual) <= 1e-4 and found.centre_names == ["3"]
    with torch.no_grad():
        _, _, probabilities = task.predict_step(data.alone(number), 0)
    assert data.names(data.alone(number).ids) == ["2/3"] and probabilities.shape == (1, 2)
    with pytest.raises(UserError, match=r"item=2/999: the data have no node of this name; "):
        find_item(data, "2/999")


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["dot", "mlp"])
def test_of_a_pair_both_ends_are_centres_and_no_other_pair_is_asked(planted, decoder):
    data = LinkDataModule(planted.set)
    task = GraphNet(data.spec, layer="gat", activation="elu", hidden_size=8, embedding_size=4, decoder=decoder).eval()
    one, other = (data.names(data.pairs[0])[end] for end in (1, 0))
    found = explain(task, data, find_item(data, f"{one},{other}"), output=0)
    with torch.no_grad():
        logit = task(data.alone(0)).item()
    assert found.centre_names == [one, other] and len(found.nodes) < 300
    assert found.found.answer == pytest.approx(logit, abs=1e-5) and abs(found.found.residual) <= 1e-4
    for item, says in (("n1", "is no pair"), ("n1,n1", "is no pair"), ("n1,x", "have no node 'x'; allowed: n0, n1, ")):
        with pytest.raises(UserError, match=says):
            find_item(data, item)


@pytest.mark.slow
def test_files_table_and_picture(planted, trained, tmp_path):
    output, name, answers = command._output(trained, planted, 3, "auto")
    assert name == f"the logit of {planted.class_names[output]}" and answers["answer"].startswith(
        planted.class_names[output]
    )
    with pytest.raises(UserError, match="target=nearr: .*near"):
        command._output(trained, planted, 3, "nearr")
    found = explain(trained, planted, 3, output)
    command._write(tmp_path, found)
    draw(found, 4, 10, "a title", tmp_path / "explanation.png")
    assert (tmp_path / "explanation.png").stat().st_size > 10_000
    with open(tmp_path / "edges.csv", encoding="utf-8", newline="") as file:
        edges = list(csv.DictReader(file))
    sizes = [abs(float(row["attribution"])) for row in edges]
    assert sizes == sorted(sizes, reverse=True) and {row["src"] for row in edges} <= {*found.nodes}
    with open(tmp_path / "features.csv", encoding="utf-8", newline="") as file:
        total = sum(float(row["attribution"]) for row in csv.DictReader(file))
    assert total + sum(float(row["attribution"]) for row in edges) == pytest.approx(
        found.found.answer - found.found.baseline, abs=1e-4
    )
    assert command._table(found, 3, answers).row_count == 5 + 3 + min(3, len(edges))


@pytest.mark.parametrize(("words", "says"), [({}, "run=none"), ({"run": "runs"}, "item=none")])
def test_what_is_needed_is_told(words, says, tmp_path):
    with pytest.raises(UserError, match=f"{says}: .*; fix: give "):
        command.analyze(tmp_path, command.Arguments(**words))
