"""Test that one graph has the same edges, labels, features and splits in every format, and that bad files are told."""

import pickle
import zipfile
from pathlib import Path

import networkx
import numpy as np
import pytest
import scipy.sparse
import torch

from lightning_dl2 import NodeDataModule, UserError
from lightning_dl2.builtin.graph_formats import GRAPH_FORMATS, OWN_GRAPHS, find_graph_format
from lightning_dl2.data.graph_files.own.readers import READERS, read_own_graph
from lightning_dl2.data.graph_files.own.reading import PLAIN, Features, Reading
from lightning_dl2.graphs import load_dgl
from tests import graph_formats
from tests.graph_formats import FEATURES, LABELS, NEEDS_DGL, PAIRS, SPLITS, WRITERS, gzip_table, write_tu

FORMATS = [pytest.param(name, marks=marks) for name, (_, marks) in WRITERS.items()]
WITHOUT_SPLITS = ("content",)
ASKED = {"heterophilous": Reading(split_index=1)}


def written(name: str, path: Path) -> Path:
    return WRITERS[name][0](path)


def read(path: Path, **asked):
    return read_own_graph(path, Reading(**asked))


def told(path: Path, **asked) -> str:
    with pytest.raises(UserError) as caught:
        read(path, **asked)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_gives_the_same_graph(name, tmp_path):
    found = read_own_graph(written(name, tmp_path), ASKED.get(name, PLAIN))
    edges = sorted(zip(found.src.tolist(), found.dst.tolist(), strict=True))
    assert edges == sorted(PAIRS + [(other, one) for one, other in PAIRS]) and found.num_nodes == 6
    assert found.labels.tolist() == LABELS.tolist() and found.class_names == ["0", "1"]
    features = found.features if isinstance(found.features, torch.Tensor) else found.features.to_dense()
    assert torch.equal(features, torch.from_numpy(FEATURES)) and found.edge_features is None
    splits = found.splits and {name: members.tolist() for name, members in found.splits.items()}
    assert splits == (None if name in WITHOUT_SPLITS else SPLITS)


def test_the_test_has_every_format():
    kinds = {"heterophilous": "npz", "gnn_benchmark": "npz", "scipy": "arrays", "dgl_without_it": "dgl"}
    names = {kinds.get(name, "torch" if name.startswith("pyg") else name) for name in WRITERS}
    assert names == set(OWN_GRAPHS["graph_file"]) == set(READERS)


def test_only_the_way_of_the_edges_that_is_listed_is_read_on_request(tmp_path):
    found = read(written("heterophilous", tmp_path), undirected=False)
    assert list(zip(found.src.tolist(), found.dst.tolist(), strict=True)) == PAIRS


def test_a_split_of_several_is_chosen_and_told(tmp_path):
    path = written("heterophilous", tmp_path)
    data = NodeDataModule("graph_file", str(path), split_index=2)
    assert data.splits["train"].tolist() == [1, 2, 3] and "split 2 of 3 (data.split_index)" in data.note
    assert told(path, split_index=3) == f"data.split_index=3: {path} has 3 splits; allowed: 0 to 2"
    assert "has 0 splits; allowed: 0" in told(written("content", tmp_path), split_index=1)


def test_what_is_left_out_or_changed_is_told(tmp_path):
    note = read(written("gnn_benchmark", tmp_path)).note
    assert "not read, as they hold pickled objects: node_names" in note and "7 edges have no reverse" in note
    np.savez(tmp_path / "more.npz", edges=[[0, 1], [1, 2], [1, 2], [2, 2]], label=["b", "a", ""], age=[3, 2, 1])
    found = read(tmp_path / "more.npz")
    assert found.labels.tolist() == [1, 0, -1] and found.class_names == ["a", "b"]
    for part in ("not read: age", "1 self-loops stay", "repeated", "nodes have no features: each gets a 1"):
        assert part in found.note
    (tmp_path / "own.cites").write_text("a b\nb zzz\n")
    (tmp_path / "own.content").write_text("a 1 0 x\nb 0 1 y\n")
    found = read(tmp_path / "own.cites")
    assert found.src.tolist() == [1, 0] and "1 citations of papers without a line in own.content" in found.note


def test_values_of_an_adjacency_are_features_or_weights(tmp_path):
    path = written("scipy", tmp_path)
    matrix = scipy.sparse.csr_matrix(([2.0, 0.5, 0.0], ([0, 1, 2], [1, 2, 3])), shape=(6, 6))
    scipy.sparse.save_npz(path / "adj.npz", matrix)
    np.save(path / "kind.npy", list("xxyyzz"))
    found = read(path, undirected=False)
    assert found.edge_features.tolist() == [[2], [0.5]] and found.edge_weights is None
    assert "1 stored zeros of adj are no edges" in found.note and "data.edge_weight=weight" in found.note
    found = read(path, undirected=False, edge_weight="weight", label="kind")
    assert found.edge_weights.tolist() == [2, 0.5] and found.edge_features is None
    assert found.class_names == ["x", "y", "z"] and "not read: label" in found.note
    assert "edge_weight=w: the graph has no such data" in told(path, edge_weight="w")


def test_weights_of_pyg(tmp_path):
    torch.save(graph_formats.parts() | {"w": torch.arange(7.0)}, tmp_path / "graph.pt")
    found = read(tmp_path / "graph.pt", edge_weight="w", undirected=False)
    assert found.edge_weights.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_the_labels_of_another_name(tmp_path):
    """networkx's own graph has the attribute `club`, and GML takes `label` for the name of a node."""
    club = networkx.karate_club_graph()
    networkx.write_gml(club, tmp_path / "club.gml")
    networkx.write_graphml(club, tmp_path / "club.graphml")
    says = f"data.path={tmp_path}/club.gml: its nodes have no label; they have: club; fix: set data.label=NAME"
    assert told(tmp_path / "club.gml").startswith(says)
    one, other = (read(tmp_path / name, label="club") for name in ("club.gml", "club.graphml"))
    one.note = other.note = None
    assert one.digest() == other.digest() and one.class_names == ["Mr. Hi", "Officer"] and len(one.src) == 156
    assert one.edge_features.shape == (156, 1)  # weight


def test_edges_can_be_predicted_without_labels(tmp_path):
    networkx.write_gml(networkx.path_graph(4), tmp_path / "own.gml")
    np.savez(tmp_path / "own.npz", edges=[[0, 1], [1, 2], [2, 3]])
    one, other = (read(tmp_path / name, labelled=False) for name in ("own.gml", "own.npz"))
    assert one.src.tolist() == other.src.tolist() and one.labels.tolist() == other.labels.tolist() == [-1] * 4
    assert "fix: set data.label=NAME" in told(tmp_path / "own.gml")


def test_gml_of_other_programs(tmp_path):
    """Newman's files repeat edges, have the class in `value`, and names of nodes in `label`."""
    nodes = "".join(f'node [ id {7 + n} label "n{n}" value {n % 2} ]\n' for n in range(4))
    edges = "".join(f"edge [ source {7 + one} target {7 + other} ]\n" for one, other in ((0, 1), (0, 1), (2, 3)))
    (tmp_path / "own.gml").write_text(f'Creator "x"\ngraph\n[\n  directed 0\n{nodes}{edges}]\n')
    found = read(tmp_path / "own.gml")
    assert found.node_ids == ["n0", "n1", "n2", "n3"] and found.labels.tolist() == [0, 1, 0, 1]
    assert found.features is None and "the labels are value" in found.note and "repeated" in found.note
    (tmp_path / "own.gml").write_text("graph [ node [ id 1 ] edge [ source 1 target 2 ] ]")
    assert "is damaged or no GML file (NetworkXError: edge #0 has undefined target 2)" in told(tmp_path / "own.gml")


def test_attributes_follow_the_rules_of_tables(tmp_path):
    """An unknown label, a gap, texts and a list of numbers: as cells of CSV."""
    graph = networkx.path_graph(4)
    networkx.set_node_attributes(graph, {0: "x", 1: "y", 2: "x"}, "group")
    networkx.set_node_attributes(graph, {0: 1.5, 1: 2.5, 3: 5.0}, "age")
    networkx.set_node_attributes(graph, {0: "red", 1: "red", 2: "blue", 3: "blue"}, "colour")
    networkx.set_node_attributes(graph, {node: [node, 0.5] for node in graph}, "place")
    path = tmp_path / "own.gml"
    networkx.write_gml(graph, path)
    assert told(path, label="group") == (
        f"data.path={path}: node 2: age=''; allowed: a finite number; fix: data.features.fill=mean, or"
        " data.features.drop=[age]"
    )
    found = read(path, label="group", features=Features(fill="mean", one_hot=["colour"]))
    assert found.labels.tolist() == [0, 1, 0, -1] and "gaps of the column age are filled with 3" in found.note
    assert found.feature_names == ["age", "place.0", "place.1", "colour=blue", "colour=red"]
    assert found.features[2].tolist() == [3, 2, 0.5, 1, 0]
    found = read(path, label="group", features=Features(drop=["age"]))
    assert found.feature_names == ["place.0", "place.1"] and "texts of nodes are not read: colour" in found.note
    assert told(path, label="age").startswith(f"data.path={path}: node 0: the label is a number with a fraction")


def test_several_numbers_of_each_node(tmp_path):
    graph = networkx.path_graph(3)
    for name, values in (("mass", [1.5, 2.5, 4.0]), ("charge", [0.5, 1.0, 0.25]), ("size", [3, 4, 5])):
        networkx.set_node_attributes(graph, dict(enumerate(values)), name)
    networkx.write_gml(graph, tmp_path / "own.gml")
    np.savez(tmp_path / "own.npz", edges=[[0, 1], [1, 2]], mass=[1.5, 2.5, 4.0], charge=[0.5, 1.0, 0.25])
    for name in ("own.gml", "own.npz"):
        found = read(tmp_path / name, labels=["charge", "mass"], target="regression")
        assert found.labels.tolist() == [[0.5, 1.5], [1.0, 2.5], [0.25, 4.0]]
        assert found.target == "regression" and found.target_names == ["charge", "mass"]
    found = read(tmp_path / "own.gml", label="size", target="regression")
    assert found.labels.tolist() == [3, 4, 5] and found.feature_names == ["mass", "charge"]


def test_an_undirected_graph_is_so_whatever_is_asked(tmp_path):
    for name, graph, count in (
        ("one", networkx.DiGraph([(0, 1), (1, 2)]), 2),
        ("both", networkx.Graph([(0, 1), (1, 2)]), 4),
    ):
        networkx.set_node_attributes(graph, {0: "a", 1: "b", 2: "b"}, "class")
        networkx.write_graphml(graph, tmp_path / f"{name}.graphml")
        assert len(read(tmp_path / f"{name}.graphml", undirected=False).src) == count
        assert len(read(tmp_path / f"{name}.graphml").src) == 4


@NEEDS_DGL
def test_a_file_of_dgl_before_version_half(tmp_path):
    """DGL still has the function that wrote its first format, which stores edges by their targets."""
    dgl, path = load_dgl(), tmp_path / "old.bin"
    to_array, old = dgl.backend.zerocopy_to_dgl_ndarray, dgl.data.graph_serialize
    nodes = {"feat": to_array(torch.from_numpy(FEATURES)), "label": to_array(torch.from_numpy(LABELS))}
    edges = {"w": to_array(torch.arange(7.0))}
    structure = dgl.graph_index.from_coo(6, *(list(map(int, ends)) for ends in zip(*PAIRS, strict=True)), True)
    old._CAPI_SaveDGLGraphs_V0(str(path), [old._CAPI_MakeGraphData(structure, nodes, edges)], None)
    found = read(path, undirected=False, edge_weight="w")
    assert list(zip(found.src.tolist(), found.dst.tolist(), strict=True)) == PAIRS
    assert found.edge_weights.tolist() == list(range(7)) and found.labels.tolist() == LABELS.tolist()
    path.write_bytes(path.read_bytes()[:4200])
    assert "is damaged or no file of dgl.save_graphs" in told(path)


def test_tables_of_dgl_that_are_wrong(tmp_path):
    path = written("dgl_csv", tmp_path)
    nodes, edges = (path / name for name in ("nodes.csv", "edges.csv"))
    whole = edges.read_text()
    for content, says in (
        (whole + "\n5,9", f"data.path={edges}: line 9: dst_id 9 is no node of its graph; allowed: the ids"),
        (whole.replace("dst_id", "dst"), f"data.path={edges}: has no column dst_id; allowed: the ids"),
        (whole + "\n5", f"{edges}:9: 1 cells; allowed: one for each of src_id, dst_id"),
        ("", f"data.path={edges}: is damaged or no table"),
    ):
        edges.write_text(content)
        assert told(path).startswith(says)
    edges.write_text(whole)
    nodes.write_text(nodes.read_text().replace("5,0,", "4,0,"))
    assert told(path) == f"data.path={nodes}: the node 4 stands there twice; allowed: each node once"
    nodes.write_text(nodes.read_text().replace("4,0,", "5,0,").replace("True", "yes"))
    assert told(path) == f"data.path={path}: train_mask has other values than true and false; allowed: a mask"
    (path / "meta.yaml").write_text("dataset_name: x\nedge_data: []\nnode_data: []\n")
    assert "meta.yaml: 0 tables of nodes; allowed: one type of nodes and one of edges" in told(path)


def test_tables_of_ogb_that_are_wrong(tmp_path):
    path = written("ogb", tmp_path)
    for name, rows, says in (
        ("node-label", [[0]] * 5, "node-label.csv.gz: has 5 lines; allowed: one for each of the 6 nodes"),
        ("node-label", [["x"]] * 6, "node-label.csv.gz: is damaged or no table of OGB, csv.gz (ValueError"),
        ("edge", [[0, 9]] * 7, "has an edge of node 9; allowed: nodes 0 to 5"),
        ("num-node-list", [[7]], "node-feat.csv.gz: has 6 lines; allowed: one for each of the 7 nodes"),
        ("num-edge-list", [[3], [4]], "counts the nodes of 1 graphs and the edges of 2; allowed: as many"),
    ):
        file = path / "raw" / f"{name}.csv.gz"
        before = file.read_bytes()
        gzip_table(file, rows)
        assert says in told(path)
        file.write_bytes(before)
    # A gap is an unknown label, and not a line less.
    gzip_table(path / "raw" / "node-label.csv.gz", [["0.0"], ["1.0"], [1], [1], [1], [""]])
    assert told(path) == f"data.path={path}: graph: node 5 of the split test has no label; allowed: nodes with one"
    gzip_table(path / "split" / "time" / "test.csv.gz", [[4]])
    assert read(path).labels.tolist() == [0, 1, 1, 1, 1, -1]


class _Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('the file has run code')",)


@pytest.mark.parametrize("kind", ["npz", "pt", "npy"])
def test_code_in_a_file_is_not_run(kind, tmp_path):
    bomb = np.array([_Bomb()], object)
    if kind == "pt":
        (tmp_path / "graph.pt").write_bytes(pickle.dumps(_Bomb(), protocol=2))
        assert "graph.pt: it asks for exec, which is not loaded from files; allowed: tensors" in told(
            tmp_path / "graph.pt"
        )
        torch.save({"edge_index": _Bomb()}, tmp_path / "graph.pt")
        assert "graph.pt: it asks for exec" in told(tmp_path / "graph.pt")
    elif kind == "npz":
        np.savez(tmp_path / "graph.npz", edges=PAIRS, node_labels=bomb)
        assert "node_labels holds pickled objects, which may run any code; allowed" in told(tmp_path / "graph.npz")
    else:
        written("scipy", tmp_path)
        np.save(tmp_path / "labels.npy", bomb)
        assert "labels.npy: is damaged or no .npy file (ValueError: Object arrays cannot be loaded" in told(tmp_path)


SUFFIXES = sorted({suffix for name in READERS for suffix in GRAPH_FORMATS[name].suffixes})


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_with_other_content_is_told(suffix, tmp_path):
    (tmp_path / "own.cites").touch()
    (tmp_path / "own.content").touch()
    path = tmp_path / f"own{suffix}"
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("edges.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'shape': (9e9,)}")
    for content in (b"", b"\0", b"PK\x03\x04", bytes(range(256)) * 30, b"graph", b"<graphml/>", b"[1]"):
        path.write_bytes(content)
        assert told(path).startswith("data.path=") or told(path).startswith(str(path))
    path.write_bytes((tmp_path / "zip").read_bytes())
    assert told(path).startswith("data.path=") or told(path).startswith(str(path))


BINARY = ("heterophilous", "gnn_benchmark", "pyg_without_it", "dgl_without_it")


@pytest.mark.parametrize("name", BINARY)
def test_a_file_that_is_cut_short_is_told(name, tmp_path):
    path = written(name, tmp_path)
    whole = path.read_bytes()
    for end in range(1, 20):
        path.write_bytes(whole[: len(whole) * end // 20])
        assert "allowed: a whole" in told(path)


def test_a_file_or_directory_of_no_format_is_told_with_all_formats(tmp_path):
    (tmp_path / "graph.docx").touch()
    for path, what in ((tmp_path / "graph.docx", "file"), (tmp_path, "directory")):
        says = told(path)
        assert says.startswith(f"data.path={path}: is a {what}; allowed: a file .csv, .tsv, .txt, .content, .gml")
        assert "a directory with the meta.yaml of a CSVDataset of DGL or a directory with nodes.csv" in says


def test_several_graphs_are_not_one(tmp_path):
    torch.save([graph_formats.parts()] * 2, tmp_path / "two.pt")
    assert told(tmp_path / "two.pt").startswith(f"data.path={tmp_path}/two.pt: holds 2 graphs; allowed: one")


def test_a_format_is_told_by_the_name_alone(tmp_path):
    for name in OWN_GRAPHS["graph_file"]:
        kind = GRAPH_FORMATS[name]
        for suffix in kind.suffixes:
            file = tmp_path / f"A.B{suffix.upper()}"
            file.touch()
            assert find_graph_format(file) == name


def test_a_set_of_graphs_is_no_graph(tmp_path):
    write_tu(tmp_path)
    assert told(tmp_path).startswith(f"data.path={tmp_path}: is a set of graphs; fix: data=graph_set_file")
