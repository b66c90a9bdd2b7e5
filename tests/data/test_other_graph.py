"""Test that another graph is read as the net of a run reads its own: by names, with the statistics of training."""

import pytest
import torch

from lightning_dl2 import GraphSetDataModule, NodeDataModule, UserError
from tests.small import small_graph_net, write_graph

EDGES = "src,dst,w\n" + "".join(f"n{number},n{number + 1},{number}\n" for number in range(9))
COLOURS = "red blue red blue red blue red blue red blue".split()


def write(directory, header: str, rows: list[str], edges: str = EDGES):
    directory.mkdir()
    (directory / "nodes.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    (directory / "edges.csv").write_text(edges, encoding="utf-8")
    return str(directory)


FEATURES = {"one_hot": ["colour"], "fill": "mean", "standardize": True}


@pytest.fixture
def trained(tmp_path) -> NodeDataModule:
    """Return a graph of ten nodes, a to c, with heights 0 to 9 but one gap, and two colours."""
    splits = "train train train train val val val test test test".split()
    rows = [
        f"n{number},{'abcabcabca'[number]},{number if number != 4 else ''},{COLOURS[number]},{splits[number]}"
        for number in range(10)
    ]
    path = write(tmp_path / "trained", "id,label,height,colour,split", rows)
    return NodeDataModule("graph_csv", path, features=FEATURES)


def other(trained: NodeDataModule, path: str, **keys) -> NodeDataModule:
    return NodeDataModule("graph_csv", path, **{"features": FEATURES} | keys, for_run=trained.spec)


def test_the_same_graph_is_no_other_one(trained, tmp_path):
    again = other(trained, str(tmp_path / "trained"))
    assert again.other is None and again.spec == trained.spec
    assert torch.equal(again.set.features, trained.set.features)


def test_columns_are_matched_by_name_with_the_statistics_of_training(trained, tmp_path):
    mean = sum(number for number in range(10) if number != 4) / 9
    rows = ["7,green,x0,b,zz", ",blue,x1,d,zz", "0,red,x2,,zz"]
    path = write(tmp_path / "other", "height,colour,id,label,text", rows, "src,dst,w\nx0,x1,1\nx1,x2,2\n")
    data = other(trained, path)
    assert trained.set.feature_names == ["height", "colour=blue", "colour=red"]
    height = trained.set.features[:, 0]
    scaled = torch.tensor([height[7], 0.0, height[0]])  # the gap is filled with training's mean, which becomes 0
    torch.testing.assert_close(data.set.features[:, 0], scaled, rtol=0, atol=1e-6)
    assert data.set.features[:, 1:].tolist() == [[0, 0], [1, 0], [0, 1]] and mean == pytest.approx(41 / 9)
    assert data.class_names == ["a", "b", "c"] and data.labels.tolist() == [1, -1, -1]
    assert data.splits == {} and data.items("rest").tolist() == [0, 1, 2]
    for told in ("1 nodes are of a kind that training has not seen", "1 labels are of classes that the run does not"):
        assert told in data.other
    assert "not read: text" in data.note and "1 gaps of the column height are filled" in data.note


def test_without_labels_and_with_a_part_of_the_splits(trained, tmp_path):
    path = write(tmp_path / "bare", "id,height,colour", ["n0,1,red", "n1,2,blue"], "src,dst,w\nn0,n1,1\n")
    assert other(trained, path).labels.tolist() == [-1, -1]
    rows = ["n0,1,red,a,test", "n1,2,blue,,test"]
    path = write(tmp_path / "part", "id,height,colour,label,split", rows, "src,dst,w\nn0,n1,1\n")
    assert {name: nodes.tolist() for name, nodes in other(trained, path).splits.items() if len(nodes)} == {"test": [0]}
    with pytest.raises(UserError, match="has no column label"):
        NodeDataModule("graph_csv", str(tmp_path / "bare"), features=FEATURES)


@pytest.mark.parametrize(
    ("header", "rows", "edges", "says"),
    [
        ("id,colour", ["n0,red", "n1,red"], "src,dst,w\nn0,n1,1\n", "has no column height, which the run was trained"),
        ("id,height,colour", ["n0,1,red", "n1,2,red"], "src,dst\nn0,n1\n", "has 0 edge features; allowed: 1, as in"),
        ("id,height,colour", ["n0,1,red", "n1,2,red"], "src,dst,v\nn0,n1,1\n", "has no column w, which the run was"),
    ],
)
def test_what_is_missing_is_one_line(trained, tmp_path, header, rows, edges, says):
    with pytest.raises(UserError, match=f"data.path=.*other: {says}"):
        other(trained, write(tmp_path / "other", header, rows, edges))


def test_a_run_without_names_is_matched_by_number(tmp_path):
    """An older version stored no names: the order of the columns is trusted, and told."""
    path = write_graph(tmp_path / "a", [(number, number + 1) for number in range(8)], "ababababa", "tttvvveee")
    spec = NodeDataModule("graph_csv", str(path)).spec
    old = {key: value for key, value in spec.items() if key != "columns"}
    grown = write_graph(tmp_path / "b", [(number, number + 1) for number in range(9)], "ab?babab?b")
    data = NodeDataModule("graph_csv", str(grown), for_run=old)
    assert "node features are matched by number: those of the run have no names" in data.other
    assert data.labels.tolist() == [0, 1, -1, 1, 0, 1, 0, 1, -1, 1]
    named = NodeDataModule("graph_csv", str(grown), for_run=spec)
    assert "by number" not in named.other and torch.equal(named.set.features, data.set.features)


def write_tu(directory, types: list[list[int]], labels: list[int] | None):
    """Write rings whose nodes have the given labels."""
    directory.mkdir()
    edges, owners, first = [], [], 1
    for number, graph in enumerate(types, start=1):
        ring = [(first + place, first + (place + 1) % len(graph)) for place in range(len(graph))]
        edges += [pair for one, other in ring for pair in ((one, other), (other, one))]
        owners += [number] * len(graph)
        first += len(graph)
    texts = {
        "A": [f"{one}, {other}" for one, other in edges],
        "graph_indicator": owners,
        "node_labels": [kind for graph in types for kind in graph],
    } | ({} if labels is None else {"graph_labels": labels})
    for part, lines in texts.items():
        (directory / f"X_{part}.txt").write_text("\n".join(map(str, lines)) + "\n", encoding="utf-8")
    return str(directory)


def test_new_molecules_have_the_atoms_of_training(tmp_path):
    types = [[6, 7, 8], [6, 6, 6, 8], [8, 7, 7]] * 4
    trained = GraphSetDataModule("tu", write_tu(tmp_path / "a", types, [1, -1, 1] * 4), num_folds=3)
    new = write_tu(tmp_path / "b", [[8, 8, 8], [6, 8, 6]], None)
    data = GraphSetDataModule("tu", new, for_run=trained.spec)
    assert data.set.node_types.tolist() == [2, 2, 2, 0, 2, 0] and data.set.num_node_types == 3
    assert data.labels.tolist() == [-1, -1] and data.class_names == ["-1", "1"] and data.count_items("rest") == 2
    task = small_graph_net(trained).eval()
    batch = data.evaluation_batches("rest")[0]
    with torch.no_grad():
        ids, targets, found = task.predict_step(batch, 0)
    same = GraphSetDataModule("tu", write_tu(tmp_path / "c", [*types, [8, 8, 8], [6, 8, 6]], [1, -1] * 7), num_folds=3)
    with torch.no_grad():
        wanted = task.predict_step(same._batch(torch.tensor([12, 13]), 1.0, None), 0)[2]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
    with pytest.raises(UserError, match="has the node type 17, which the run was not trained with; allowed: 6, 7, 8"):
        GraphSetDataModule("tu", write_tu(tmp_path / "d", [[6, 17, 6]], None), for_run=trained.spec)
    old = {key: value for key, value in trained.spec.items() if key != "columns"}
    with pytest.raises(UserError, match="has 2 node types, and the run 3 without names.*; fix: train the run again"):
        GraphSetDataModule("tu", new, for_run=old)


def test_numbers_of_nodes_are_standardised_as_in_training(tmp_path):
    """A set has mean 0 and variance 1; the same set is the run's, and others are shifted and scaled alike."""
    path = write_tu(tmp_path / "a", [[6, 8, 6]] * 12, [1, -1, 1] * 4)
    numbers = [f"{node}, {node % 2}" for node in range(36)]
    (tmp_path / "a" / "X_node_attributes.txt").write_text("\n".join(numbers))
    trained = GraphSetDataModule("tu", path, num_folds=3, standardize=True)
    features = trained.set.node_features
    assert features[:, 0].mean().abs() < 1e-6 and features[:, 0].std(correction=0) == pytest.approx(1)
    assert features[:, 1].tolist() == [0.0, 1.0] * 18  # a column of 0 and 1 stays
    same = GraphSetDataModule("tu", path, standardize=True, for_run=trained.spec)
    assert same.other is None and torch.equal(same.set.node_features, features)
    new = write_tu(tmp_path / "b", [[6, 8]], None)
    (tmp_path / "b" / "X_node_attributes.txt").write_text("35, 1\n0, 0\n")
    others = GraphSetDataModule("tu", new, standardize=True, for_run=trained.spec)
    assert torch.equal(others.set.node_features, features[[35, 0]])
    with pytest.raises(UserError, match="data.standardize=true: the nodes of these graphs have no numbers"):
        GraphSetDataModule("tu", write_tu(tmp_path / "c", [[6, 8, 6]] * 12, [1, -1, 1] * 4), standardize=True)
