"""Test that inconsistent sets are reported by name, and that a digest depends on every part of the content."""

from dataclasses import fields, replace

import pytest
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.graph_sets import TOLD, GraphSet, NodeSet
from lightning_dl2.graphs import SparseMatrix


def sparse(*values: float) -> SparseMatrix:
    return SparseMatrix.from_coo(torch.tensor([0, 2]), torch.tensor([1, 0]), torch.tensor(values), (3, 2))


def node_set() -> NodeSet:
    """Return a path of three nodes."""
    return NodeSet(
        src=torch.tensor([0, 1, 1, 2]),
        dst=torch.tensor([1, 0, 2, 1]),
        num_nodes=3,
        features=torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        labels=torch.tensor([0, 1, -1]),
        class_names=["a", "b"],
        splits={"train": torch.tensor([0]), "val": torch.tensor([1]), "test": torch.tensor([], dtype=torch.int64)},
        edge_features=torch.ones(4, 2),
        node_ids=["x", "y", "z"],
        edge_weights=torch.ones(4),
    )


def graph_set() -> GraphSet:
    """Return an edge and a single node."""
    return GraphSet(
        src=torch.tensor([0, 1]),
        dst=torch.tensor([1, 0]),
        num_nodes=torch.tensor([2, 1]),
        num_edges=torch.tensor([2, 0]),
        labels=torch.tensor([0, 1]),
        class_names=["a", "b"],
        node_types=torch.tensor([0, 2, 1]),
        num_node_types=3,
        node_features=torch.ones(3, 2),
        edge_types=torch.tensor([1, 1]),
        num_edge_types=2,
        edge_features=torch.ones(2, 1),
        splits={"train": torch.tensor([0]), "test": torch.tensor([1])},
        folds=[(torch.tensor([0]), torch.tensor([1])), (torch.tensor([1]), torch.tensor([0]))],
        graph_ids=["p", "q"],
    )


NODES = [
    ({"src": torch.tensor([0, 1, 1])}, "3 edges begin and 4 end"),
    ({"dst": torch.tensor([1, 0, 3, 1])}, "edge 2 goes from node 1 to node 3; allowed: nodes 0 to 2"),
    ({"src": torch.tensor([0, 1, 1, -1])}, "edge 3 goes from node -1 to node 1; allowed: nodes 0 to 2"),
    ({"features": torch.ones(2, 2)}, "features has 2 rows; allowed: one for each node, 3"),
    ({"features": torch.tensor([[1.0], [float("nan")], [1.0]])}, "features of node 1: not a number or infinite"),
    ({"features": torch.tensor([[1.0], [1.0], [float("inf")]])}, "features of node 2: not a number or infinite"),
    ({"features": sparse(1.0, float("nan"))}, "features of node 2: not a number or infinite"),
    ({"edge_features": torch.ones(3, 2)}, "edge_features has 3 rows; allowed: one for each edge, 4"),
    ({"edge_features": torch.full((4, 1), float("-inf"))}, "edge_features of edge 0: not a number or infinite"),
    ({"labels": torch.tensor([0, 1])}, "labels has 2 rows; allowed: one for each node, 3"),
    ({"labels": torch.tensor([0, 2, 1])}, "label 2 of node 1; allowed: -1 to 1"),
    ({"labels": torch.tensor([0, 1, -2])}, "label -2 of node 2; allowed: -1 to 1"),
    ({"splits": {"training": torch.tensor([0])}}, "the split training; allowed: train, val, test"),
    ({"splits": {"train": torch.tensor([0, 3])}}, "node 3 of the split train; allowed: nodes 0 to 2"),
    ({"splits": {"train": torch.tensor([0]), "val": torch.tensor([1, 0])}}, "node 0 is in the splits twice"),
    ({"splits": {"train": torch.tensor([0, 1, 1])}}, "node 1 is in the splits twice"),
    ({"splits": {"test": torch.tensor([0, 2])}}, "node z of the split test has no label"),
    ({"splits": {"test": torch.tensor([2])}, "node_ids": None}, "node 2 of the split test has no label"),
]

GRAPHS = [
    ({"dst": torch.tensor([1, 2])}, "edge 1 goes from node 1 to node 2; allowed: nodes 0 to 1"),
    ({"num_nodes": torch.tensor([3, 0])}, "graph 1 has no nodes"),
    ({"num_edges": torch.tensor([2, 1])}, "num_edges sums to 3; allowed: the number of edges, 2"),
    ({"num_edges": torch.tensor([2])}, "num_edges has 1 rows; allowed: one for each graph, 2"),
    ({"node_types": torch.tensor([0, 3, 1])}, "type 3 of node 1; allowed: 0 to 2"),
    ({"node_types": torch.tensor([0, 1])}, "node_types has 2 rows; allowed: one for each node, 3"),
    ({"edge_types": torch.tensor([1, -1])}, "type -1 of edge 1; allowed: 0 to 1"),
    ({"node_features": torch.full((3, 1), float("nan"))}, "node_features of node 0: not a number"),
    ({"labels": torch.tensor([0, -1])}, "label -1 of graph 1; allowed: 0 to 1"),
    ({"labels": torch.tensor([0, 1]), "level": "node"}, "labels has 2 rows; allowed: one for each node, 3"),
    ({"labels": torch.tensor([0.5, float("inf")]), "target": "regression"}, "labels of graph 1: not a number"),
    ({"labels": torch.tensor([0.5, float("nan")]), "target": "regression"}, "graph 1 of the split test has no target"),
    ({"labels": torch.zeros(2, 3), "target": "multilabel"}, "3 targets have 0 names; allowed: a name for each"),
    (
        {"labels": torch.tensor([[0.0], [0.5]]), "target": "multilabel"},
        "a label of graph 1 is 0.5; allowed: 0, 1, or NaN for unknown",
    ),
    ({"splits": {"train": torch.tensor([2])}}, "graph 2 of the split train; allowed: graphs 0 to 1"),
    ({"folds": [(torch.tensor([0]), torch.tensor([0]))]}, "fold 1: graph 0 is in the splits twice"),
]


@pytest.mark.parametrize(
    ("make", "damage", "message"), [(node_set, *case) for case in NODES] + [(graph_set, *case) for case in GRAPHS]
)
def test_what_does_not_fit_is_named(make, damage, message):
    with pytest.raises(UserError) as caught:
        replace(make(), **damage).check("there")
    assert str(caught.value).startswith("there") and message in str(caught.value) and "\n" not in str(caught.value)


def test_what_fits_passes():
    node_set().check()
    replace(node_set(), features=sparse(1.0, 2.0)).check()
    replace(node_set(), features=None, splits=None, edge_features=None, node_ids=None).check()
    graph_set().check()
    replace(graph_set(), labels=torch.tensor([0.5, -3.0]), class_names=[], target="regression").check()
    replace(graph_set(), labels=torch.tensor([0, 1, 1]), level="node").check()
    assert len(graph_set()) == 2


def changed(value):
    """Return another value, of the same type where there is one."""
    if value is None or value == []:
        return ["x"]
    if isinstance(value, torch.Tensor):
        other = value.clone()
        other[0] += 1
        return other
    if isinstance(value, SparseMatrix):
        return sparse(1.0, 3.0)
    if isinstance(value, dict):
        return {**value, "train": changed(value["train"])}
    if isinstance(value, list):
        return [changed(value[0]), *value[1:]]
    if isinstance(value, tuple):
        return (changed(value[0]), *value[1:])
    return value + (1 if isinstance(value, int) else "x")


@pytest.mark.parametrize("item", [node_set(), replace(node_set(), features=sparse(1.0, 2.0)), graph_set()])
def test_the_digest_follows_from_every_part(item):
    item = replace(item, target_names=["a"])
    if isinstance(item, NodeSet):
        item = replace(item, edge_targets={"train": torch.zeros(2)})
    digests, parts = {item.digest()}, [field for field in fields(item) if field.name not in TOLD]
    for field in parts:
        digests.add(replace(item, **{field.name: changed(getattr(item, field.name))}).digest())
    assert len(digests) == 1 + len(parts)
    assert all(len(digest) == 16 and int(digest, 16) for digest in digests)


def test_what_has_changed_is_known_by_its_parts():
    """Each part has a number or a digest of its own."""
    item = node_set()
    assert item.parts()["edges"] == 4 and item.parts()["nodes"] == 3
    for changes, names in (
        ({"labels": torch.tensor([1, 1, -1])}, {"labels"}),
        ({"features": item.features + 1}, {"features"}),
        ({"src": torch.tensor([0, 1, 1, 1])}, {"ends of edges"}),
        ({"node_ids": None}, {"names of nodes"}),
        ({"note": "a note"}, set()),
    ):
        before, after = item.parts(), replace(item, **changes).parts()
        assert {name for name in before if before[name] != after.get(name)} == names


def test_the_digest_is_the_same_for_the_same_content():
    assert node_set().digest() == node_set().digest()
    one = replace(node_set(), features=sparse(1.0, 2.0))
    before = one.digest()
    one.features.transpose()  # the matrix caches its transpose
    assert one.digest() == before
    assert replace(node_set(), features=None).digest() != before


def test_types_and_shapes_count_as_content():
    zeros = replace(node_set(), features=torch.zeros(3, 2))
    others = (torch.zeros(3, 1), torch.zeros(3, 2, dtype=torch.float64), torch.zeros(3, 4), None)
    assert len({zeros.digest()} | {replace(zeros, features=other).digest() for other in others}) == 5
