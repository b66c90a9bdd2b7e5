"""Test graphs in memory, of DGL, PyG, networkx and this package, against the same graphs read from files."""

import importlib.util
import warnings

import networkx
import numpy as np
import pytest
import torch

from lightning_dl2 import GraphSetDataModule, NodeDataModule, UserError, predict, train
from lightning_dl2.config.compose import validate
from lightning_dl2.graphs import Graph, load_dgl
from tests import own_graph_parts
from tests.graph_files import write_planetoid
from tests.small import NEEDS_DGL, small_graph_net, small_trainer, write_graph

PYG = pytest.param(
    "pyg",
    marks=pytest.mark.skipif(
        importlib.util.find_spec("torch_geometric") is None, reason="torch_geometric is not installed"
    ),
)
LIBRARIES = ["graph", "networkx", pytest.param("dgl", marks=NEEDS_DGL), PYG]
OPTIONS = {"num_folds": 3, "validation_fraction": 0.3, "batch_size": 4}
NAMES = {"types": "kind", "features": "size", "edge_types": "bond"}


def molecules():
    """Return 15 rings and chains: nodes, edges in both directions, kinds and sizes of the nodes, kinds of bonds."""
    rng, found = np.random.default_rng(0), []
    for number in range(15):
        count, ring = 4 + number % 3, number % 2
        pairs = [(node, node + 1) for node in range(count - 1)] + [(0, count - 1)] * ring
        edges = np.array(sorted(pairs + [(other, one) for one, other in pairs]))
        bonds = {tuple(sorted(pair)): int(rng.integers(1, 3)) for pair in pairs}
        kinds, sizes = rng.integers(2, 5, count), rng.random((count, 2)).round(3)
        found.append(
            (count, edges, kinds, sizes, np.array([bonds[tuple(sorted(edge))] for edge in edges]), ring * 2 - 1)
        )
    return found


def write_tu(directory, graphs):
    """Write the graphs in the TU format, whose numbers count from 1."""
    first, lines = 1, {name: [] for name in ("A", "graph_indicator", "graph_labels", "node_labels")}
    lines |= {name: [] for name in ("node_attributes", "edge_labels")}
    for number, (count, edges, kinds, sizes, bonds, label) in enumerate(graphs, start=1):
        lines["A"] += [f"{one + first}, {other + first}" for one, other in edges]
        lines["graph_indicator"] += [number] * count
        lines["graph_labels"].append(label)
        lines["node_labels"] += kinds.tolist()
        lines["node_attributes"] += [", ".join(map(str, row)) for row in sizes.tolist()]
        lines["edge_labels"] += bonds.tolist()
        first += count
    directory.mkdir()
    for name, rows in lines.items():
        (directory / f"TOY_{name}.txt").write_text("".join(f"{row}\n" for row in rows))
    return directory


def in_library(library, count, edges, nodes, bonds=None, **whole):
    """Build a graph with data of nodes and edges in a library; values are arrays."""
    src, dst = torch.from_numpy(edges.T.copy()).long()
    nodes = {name: torch.from_numpy(np.asarray(value)) for name, value in nodes.items()}
    bonds = {name: torch.from_numpy(np.asarray(value)) for name, value in (bonds or {}).items()}
    if library == "graph":
        return Graph(src, dst, count, ndata=nodes, edata=bonds)
    if library == "dgl":
        graph = load_dgl().graph((src, dst), num_nodes=count)
        graph.ndata.update(nodes)
        graph.edata.update(bonds)
        return graph
    if library == "pyg":
        from torch_geometric.data import Data

        return Data(edge_index=torch.stack([src, dst]), num_nodes=count, **nodes, **bonds, **whole)
    graph = networkx.DiGraph(**whole)
    for node in range(count):
        graph.add_node(node, **{name: value[node].numpy() for name, value in nodes.items()})
    for place, (one, other) in enumerate(edges.tolist()):
        graph.add_edge(one, other, **{name: value[place].item() for name, value in bonds.items()})
    return graph


def trained(data, **net):
    task = small_graph_net(data, **net)
    small_trainer(max_steps=3).fit(task, data)
    return [*task.state_dict().values()]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_set_in_memory_gives_the_same_bits_as_its_files(library, tmp_path):
    read = GraphSetDataModule("tu", str(write_tu(tmp_path / "TOY", molecules())), **OPTIONS)
    graphs = [
        in_library(library, count, edges, {"kind": kinds, "size": sizes}, {"bond": bonds})
        for count, edges, kinds, sizes, bonds, _ in molecules()
    ]
    data = GraphSetDataModule.from_graphs(graphs, [label for *_, label in molecules()], **NAMES, **OPTIONS)
    names = {"columns"}  # which a file may have
    assert {key: data.spec[key] for key in {*data.spec} - names} == {
        key: read.spec[key] for key in {*read.spec} - names
    }
    assert data.set.digest() == read.set.digest()
    assert data.note.startswith("graphs in memory: ") and "the classes -1, 1 are numbered from 0" in data.note
    net = {"layer": "gine", "output_layer": "linear"}
    assert all(map(torch.equal, trained(data, **net), trained(read, **net)))


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_node_set_in_memory_gives_the_same_bits_as_its_files(library, tmp_path):
    pairs, labels, splits = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 6), (6, 0)], "abab?ba", "ttvv-ee"
    read = NodeDataModule("graph_csv", str(write_graph(tmp_path / "g", pairs, labels, splits)))
    masks = {f"{name}_mask": np.array([mark == name[0] or (mark, name) == ("e", "test") for mark in splits])
             for name in ("train", "val", "test")}  # fmt: skip
    masks["test_mask"], masks["train_mask"] = np.array([m == "e" for m in splits]), np.array([m == "t" for m in splits])
    numbers = np.array(["ab".find(label) for label in labels])
    feature, target = {"pyg": ("x", "y")}.get(library, ("feat", "label"))
    feature = "features" if library == "graph" else feature
    nodes = {feature: np.arange(7.0)[:, None], target: numbers, **masks}
    graph = in_library(library, 7, np.array(pairs), nodes)
    ids = [f"n{node}" for node in range(7)]
    data = NodeDataModule.from_graph(graph, undirected=True, ids=ids, class_names=["a", "b"])
    names = {"columns"}  # which a file may have
    assert {key: data.spec[key] for key in {*data.spec} - names} == {
        key: read.spec[key] for key in {*read.spec} - names
    }
    assert data.set.digest() == read.set.digest()
    assert data.note == "graphs in memory: 7 edges have no reverse (the reverse is added)"
    assert all(map(torch.equal, trained(data), trained(read)))


def test_sparse_features_stay_sparse(tmp_path):
    pyg = pytest.importorskip("torch_geometric.data", reason="torch_geometric is not installed")
    read = NodeDataModule("cora", str(write_planetoid(tmp_path / "cora"))).set
    masks = {f"{name}_mask": torch.zeros(read.num_nodes, dtype=bool) for name in ("train", "val", "test")}
    for name, index in read.splits.items():
        masks[f"{name}_mask"][index] = True
    x, edges = read.features.to_dense().to_sparse_csr(), torch.stack([read.src, read.dst])
    data = NodeDataModule.from_graph(
        pyg.Data(x=x, edge_index=edges, y=read.labels, **masks), class_names=read.class_names
    )
    assert data.set.digest() == read.digest() and data.note is None


def test_a_networkx_graph_with_names_and_without_masks():
    graph = networkx.karate_club_graph()
    graph = networkx.relabel_nodes(graph, {0: "Hi", 33: "John"})
    data = NodeDataModule.from_graph(graph, labels="club", train_per_class=2, validation_size=4, seed=3)
    assert data.class_names == ["Mr. Hi", "Officer"] and data.names(torch.tensor([0, 33])) == ["Hi", "John"]
    assert data.graph.num_edges == 2 * 78 and data.graph.is_symmetric
    told = ["undirected edges of networkx are stored in both directions", "nodes have no features: each gets a 1",
            "not read: weight", "there are no masks: the split is random"]  # fmt: skip
    assert data.note == "graphs in memory: " + "; ".join(told)
    weighed = NodeDataModule.from_graph(
        graph, labels="club", edge_features="weight", train_per_class=2, validation_size=4
    )
    assert weighed.spec["edge_feats"] == 1 and "edge features are whole numbers, and are read as n" in weighed.note


def test_pairs_with_numbers_are_a_regression_with_its_own_splits():
    graphs = [networkx.path_graph(3 + number) for number in range(6)]
    splits = {"train": [3, 0, 1], "val": np.array([2]), "test": torch.tensor([0, 0, 0, 0, 1, 1]).bool()}
    data = GraphSetDataModule.from_graphs(
        [(graph, len(graph) / 2) for graph in graphs], splits=splits, ids=list("abcdef")
    )
    assert data.spec["target"] == "regression" and data.splits["train"].tolist() == [3, 0, 1]
    assert data.labels.tolist() == [1.5, 2, 2.5, 3, 3.5, 4] and data.names(data.splits["test"]) == ["e", "f"]
    nodes = [networkx.path_graph(3) for _ in range(6)]
    for graph in nodes:
        networkx.set_node_attributes(graph, {0: "end", 1: "middle", 2: "end"}, "label")
    found = GraphSetDataModule.from_graphs(nodes, level="node", splits=splits)
    assert found.class_names == ["end", "middle"] and found.labels.tolist() == [0, 1, 0] * 6


def test_the_edges_are_told():
    edges = torch.tensor([[0, 0, 1, 1, 3], [1, 1, 0, 2, 3]])
    graph = Graph(*edges, 6, ndata={"features": torch.rand(6, 2), "label": torch.tensor([0, 1, 0, 1, 0, 1])})
    options = {"train_per_class": 1, "validation_size": 1}
    data = NodeDataModule.from_graph(graph, **options)
    told = [
        "1 edges have no reverse (undirected=True adds it)",
        "1 self-loops stay",
        "1 repeated edges are merged (repeated_edges='keep' counts each)",
        "2 nodes have no edge",
        "there are no masks: the split is random",
    ]
    assert data.note == "graphs in memory: " + "; ".join(told) and data.graph.num_edges == 4
    assert NodeDataModule.from_graph(graph, undirected=True, **options).graph.num_edges == 5
    kept = NodeDataModule.from_graph(graph, undirected=True, repeated_edges="keep", **options)
    assert "1 repeated edges count each time" in kept.note and kept.graph.is_symmetric and kept.graph.num_edges == 7


def test_missing_names_are_no_class():
    """A gap of pandas, and the words for one, are unknown, unless they are named as a class."""
    labels = ["a", "b", float("nan"), "NA", None, "null", "a", "b", "a", "b"]
    options = {"train_per_class": 1, "validation_size": 1}
    data = NodeDataModule.from_graph(networkx.path_graph(10), labels=labels, **options)
    assert data.class_names == ["a", "b"] and data.labels.tolist() == [0, 1, -1, -1, -1, -1, 0, 1, 0, 1]
    labels = ["a", "NA"] * 5
    named = NodeDataModule.from_graph(networkx.path_graph(10), labels=labels, class_names=["a", "NA"], **options)
    assert named.labels.tolist() == [0, 1] * 5


def test_repeated_edges_have_one_kind_of_features():
    edges = torch.tensor([[0, 1, 2, 0], [1, 2, 3, 1]])
    nodes = {"features": torch.rand(4, 2), "label": torch.tensor([0, 1, 0, 1])}
    weights = torch.tensor([[1.0], [2.0], [3.0], [1.0]])
    graph = Graph(*edges, 4, ndata=nodes, edata={"features": weights})
    options = {"train_per_class": 1, "validation_size": 1, "undirected": True}
    found = NodeDataModule.from_graph(graph, **options).set
    assert found.src.tolist() == [0, 1, 2, 1, 2, 3] and found.edge_features.tolist() == [[1], [2], [3]] * 2
    graph.edata["features"][3] = 5
    with pytest.raises(UserError, match="^edge 3: is the same edge as edge 0, with other features; fix: give it once"):
        NodeDataModule.from_graph(graph, **options)
    kept = NodeDataModule.from_graph(graph, repeated_edges="keep", **options).set
    assert kept.edge_features.flatten().tolist() == [1, 2, 3, 5] * 2


def chain(**data):
    graph = networkx.path_graph(4)
    for name, values in {"label": [0, 1, 0, 1], **data}.items():
        networkx.set_node_attributes(graph, dict(enumerate(values)), name)
    return graph


MASKS = {"train_mask": [1, 0, 0, 0], "val_mask": [0, 1, 0, 0], "test_mask": [0, 0, 1, 1]}
MASKS = {name: [bool(value) for value in values] for name, values in MASKS.items()}
WRONG_NODES = {
    "graph: features of node 2: not a number or infinite; allowed": chain(
        **MASKS, feat=[[1.0], [1.0], [np.nan], [1.0]]
    ),
    "graph: node 1 is in the splits twice; allowed: once": chain(**MASKS | {"train_mask": [True, True, False, False]}),
    "graph: has no val_mask; allowed: all three masks, or none": chain(train_mask=MASKS["train_mask"]),
    "graph: node 3 of the split test has no label": chain(**MASKS | {"label": [0, 1, 0, -1]}),
    "labels: -2; allowed: 0 or more, or -1 for unknown": chain(**MASKS | {"label": [0, 1, 0, -2]}),
    "labels: are floating numbers, and no classes": chain(**MASKS | {"label": [0.5, 1.0, 0.0, 2.0]}),
    "graph: has one class only": chain(**MASKS | {"label": [1, 1, 1, 1]}),
    "graph: the mask of train is [4, 2]; allowed: [4]": chain(**MASKS | {"train_mask": [[True, False]] * 4}),
    "graph: node 2 has no 'feat', which others have": chain(**MASKS, feat=[1.0, 2.0]),
    "graph: is a dict; allowed: a DGLGraph, a Data of PyG": {},
    "graph: has no labels of nodes, label or y; fix: give labels=...": networkx.path_graph(3),
}


@pytest.mark.parametrize("says", WRONG_NODES)
def test_a_graph_that_cannot_be_served_is_one_line(says):
    with pytest.raises(UserError) as caught:
        NodeDataModule.from_graph(WRONG_NODES[says])
    assert str(caught.value).startswith(says) and "\n" not in str(caught.value)


TWO, NAMED = [chain(), chain()], {"class_names": ["a", "b"]}
WRONG_SETS = {
    "graphs=[]: there are none": ([], {}),
    "graphs[1]: is a int; allowed: a DGLGraph": ([chain(), 3], {"labels": [0, 1]}),
    "labels: are 1; allowed: one for each of 2 graphs": (TWO, {"labels": [0]}),
    "labels: 5; allowed: a, b": (TWO, {"labels": ["5", "a"], **NAMED}),
    "graphs: label 2 of graph 1; allowed: 0 to 1": (TWO, {"labels": [0, 2], **NAMED}),
    "graphs[0]: has no label of its own, label or y; fix: give labels=...": (TWO, {}),
    "graphs[1]: has no 'feat' of nodes, but graphs[0] has": ([chain(feat=[1.0] * 4), chain()], {"labels": [0, 1]}),
    "graphs[1]: 'feat' is torch.float64 [4, 2], but torch.float64 [4, 1] in graphs[0]": (
        [chain(feat=[[1.0]] * 4), chain(feat=[[1.0, 2.0]] * 4)],
        {"labels": [0, 1]},
    ),
    "features=h: the graphs have no such data of nodes; allowed: label": (TWO, {"labels": [0, 1], "features": "h"}),
    "graphs: splits=train; allowed: all of train, val, test": (TWO, {"labels": [0, 1], "splits": {"train": [0]}}),
    "graphs: graph 0 is in the splits twice": (
        [*TWO, chain()],
        {"labels": [0, 1, 1], "splits": {"train": [0], "val": [1, 0], "test": [2]}},
    ),
    "level=edge: allowed: graph, node": (TWO, {"level": "edge"}),
    "graphs: graph 1 has no nodes": ([chain(), networkx.Graph()], {"labels": [0, 1]}),
    "features: are int64 [8, 2]; allowed: floating numbers": ([chain(feat=[[1, 2]] * 4)] * 2, {"labels": [0, 1]}),
}


@pytest.mark.parametrize("says", WRONG_SETS)
def test_a_set_that_cannot_be_served_is_one_line(says):
    graphs, options = WRONG_SETS[says]
    with pytest.raises(UserError) as caught:
        GraphSetDataModule.from_graphs(graphs, **options)
    assert str(caught.value).startswith(says) and "\n" not in str(caught.value)


@NEEDS_DGL
def test_graphs_of_dgl_that_are_no_single_graph():
    dgl = load_dgl()
    one = dgl.graph(([0, 1], [1, 0]))
    for graph, says in (
        (dgl.batch([one, one]), "graphs[0]: is a batch of 2 graphs; fix: give dgl.unbatch(g)"),
        (dgl.heterograph({("a", "x", "b"): ([0], [0])}), "graphs[0]: has 2 types of nodes and 1 of edges; allowed"),
        (dgl.to_block(one), "graphs[0]: is a block"),
    ):
        with pytest.raises(UserError) as caught:
            GraphSetDataModule.from_graphs([graph], [0])
        assert str(caught.value).startswith(says)


def test_data_of_pyg_that_is_no_single_graph():
    pyg = pytest.importorskip("torch_geometric.data", reason="torch_geometric is not installed")
    one = pyg.Data(edge_index=torch.tensor([[0, 1], [1, 0]]), y=torch.tensor([1.0]))
    for graph, says in (
        (pyg.Batch.from_data_list([one, one]), "graphs[0]: is a Batch of 2 graphs; fix: give its to_data_list()"),
        (pyg.HeteroData(), "graphs[0]: is a HeteroData"),
        (pyg.Data(x=torch.ones(2, 1)), "graphs[0]: has no edge_index [2, E]"),
    ):
        with pytest.raises(UserError) as caught:
            GraphSetDataModule.from_graphs([graph], [0])
        assert str(caught.value).startswith(says)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = GraphSetDataModule.from_graphs([one] * 9, num_folds=3, validation_fraction=0.3)
    assert data.spec["target"] == "regression" and "num_nodes is not given" in data.note


@pytest.mark.slow
def test_a_users_function_is_the_data_of_a_run(tiny_graph, monkeypatch):
    values = tiny_graph("task.layer=gin", "task.output_layer=linear", "seed=3").model_dump()
    values["data"] = {"_target_": "tests.own_graph_parts.rings_and_paths", "count": 28}
    result, objects = train(validate(values))
    data, run = objects["datamodule"], objects["run"]
    assert result["status"] == "completed" and result["data_digest"] == data.set.digest()
    assert (data.seed, data.batch_size, len(data.set)) == (3, 4, 28)  # the run's seed orders the training
    assert [row["id"] for row in predict(run)] == [f"g{number}" for number in data.splits["test"].tolist()]
    monkeypatch.setattr(own_graph_parts.networkx, "path_graph", networkx.star_graph)
    with pytest.raises(UserError, match="data"):
        predict(run)
