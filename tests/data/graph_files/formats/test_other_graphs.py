"""Test in every format that the net of a run predicts another graph, and that the labels of edges are read."""

import gzip
from pathlib import Path

import networkx
import numpy as np
import pytest
import torch

from lightning_dl2 import EdgeDataModule, GraphSetDataModule, NodeDataModule, UserError
from lightning_dl2.graphs import load_dgl
from lightning_dl2.inference.predict import SPLITS, _predict
from tests import graph_formats
from tests.graph_formats import NEEDS_DGL, PAIRS, SET_WRITERS, WRITERS, parts
from tests.small import small_graph_net

STORED = ("dgl_without_it",)  # a file that is not written here
FORMATS = [pytest.param(name, marks=marks) for name, (_, marks) in WRITERS.items() if name not in STORED]
SETS = [pytest.param(name, marks=marks) for name, (_, marks) in SET_WRITERS.items()]


def rows_of(task, data):
    """Predict all items, as the command does."""
    there = [part for part in (*SPLITS,) if data.count_items(part)]
    with torch.no_grad():
        return _predict(task.eval(), data, there, lambda task, batches: [task.predict_step(b, 0) for b in batches])


@pytest.mark.parametrize("name", FORMATS)
def test_a_net_predicts_each_node_of_another_graph_once(name, tmp_path, monkeypatch):
    write = WRITERS[name][0]
    (tmp_path / "one").mkdir(), (tmp_path / "two").mkdir()
    shares = {"split": "random", "split_sizes": [2, 2, 2]} if name == "content" else {}
    path = write(tmp_path / "one")
    data = NodeDataModule("graph_file", str(path), **shares)
    task = small_graph_net(data, layer="sage", norm="none")
    again = NodeDataModule("graph_file", str(path), for_run=data.spec, **shares)
    assert again.other is None and again.spec["digest"] == data.spec["digest"]
    monkeypatch.setattr(graph_formats, "LABELS", np.ones(6, np.int64))  # one class alone, which has another number here
    monkeypatch.setattr(graph_formats, "FEATURES", graph_formats.FEATURES[::-1].copy())
    other = NodeDataModule("graph_file", str(write(tmp_path / "two")), for_run=data.spec, **shares)
    assert other.other is not None and other.labels.tolist() == [1] * 6 and other.class_names == ["0", "1"]
    rows = rows_of(task, other)
    assert len(rows) == 6 == len({row["id"] for row in rows}) and {row["target"] for row in rows} == {"1"}
    assert {*rows[0]} >= {"p(0)", "p(1)"}


@pytest.mark.parametrize("name", SETS)
def test_a_net_predicts_other_sets_of_graphs(name, tmp_path, monkeypatch):
    write = SET_WRITERS[name][0]
    (tmp_path / "one").mkdir(), (tmp_path / "two").mkdir()
    if name == "ten_fold":
        monkeypatch.setattr("lightning_dl2.data.graphs.graph_set_data_module.graph_splits", lambda *_: FOLDS)
    data = GraphSetDataModule("graph_set_file", str(write(tmp_path / "one")), num_folds=4, validation_fraction=0.5)
    task = small_graph_net(data, layer="sage", norm="none", output_layer="linear")
    ones = [(count + 1, pairs, 1) for count, pairs, _ in graph_formats.GRAPHS]
    monkeypatch.setattr(graph_formats, "GRAPHS", ones)
    monkeypatch.setattr(graph_formats, "GRAPH_LABELS", [1] * 4)
    other = GraphSetDataModule("graph_set_file", str(write(tmp_path / "two")), for_run=data.spec)
    rows = rows_of(task, other)
    assert other.other is not None and len(rows) == 4 and {row["target"] for row in rows} == {"1"}


FOLDS = {"train": torch.tensor([0, 1]), "val": torch.tensor([2]), "test": torch.tensor([3])}
KINDS = np.array([0, 1, 0, 1, -1, 1, 0])  # of PAIRS; -1: unknown


def edges_csv(path: Path, header: str) -> Path:
    rows = [f"{one},{other},{'' if kind < 0 else kind}" for (one, other), kind in zip(PAIRS, KINDS, strict=True)]
    (path / "edges.csv").write_text("\n".join([header, *rows]), "utf-8")
    return path


def write_networkx(path: Path, write) -> Path:
    graph = networkx.Graph()
    graph.add_nodes_from((node, {"size": float(node)}) for node in range(6))
    labels = [{} if kind < 0 else {"kind": int(kind)} for kind in KINDS]
    graph.add_edges_from((*pair, label) for pair, label in zip(PAIRS, labels, strict=True))
    write(graph, path)
    return path


def write_pyg(path: Path, name: str = "edge_label") -> Path:
    torch.save(parts() | {name: torch.from_numpy(KINDS)}, path / "graph.pt")
    return path / "graph.pt"


def write_dgl(path: Path) -> Path:
    dgl = load_dgl()
    graph = dgl.graph(tuple(torch.tensor(PAIRS).T), num_nodes=6)
    graph.edata["label"] = torch.from_numpy(KINDS)
    dgl.save_graphs(str(path / "graph.bin"), [graph])
    return path / "graph.bin"


def write_dgl_csv(path: Path) -> Path:
    WRITERS["dgl_csv"][0](path)
    rows = [f"{one},{other},{kind}" for (one, other), kind in zip(PAIRS, KINDS, strict=True)]
    (path / "edges.csv").write_text("\n".join(["src_id,dst_id,label", *rows]), "utf-8")
    return path


def write_ogb(path: Path) -> Path:
    WRITERS["ogb"][0](path)
    (path / "raw/edge-feat.csv.gz").write_bytes(gzip.compress("".join(f"{kind}\n" for kind in KINDS).encode()))
    return path


OF_EDGES = {
    "csv": (lambda path: edges_csv(WRITERS["csv"][0](path), "src,dst,kind"), "kind"),
    "gml": (lambda path: write_networkx(path / "graph.gml", networkx.write_gml), "kind"),
    "graphml": (lambda path: write_networkx(path / "graph.graphml", networkx.write_graphml), "kind"),
    "pyg": (write_pyg, None),
    "pyg_by_name": (lambda path: write_pyg(path, "edge_attr"), "edge_attr"),
    "dgl": pytest.param(write_dgl, None, marks=NEEDS_DGL),
    "dgl_csv": (write_dgl_csv, None),
    "ogb": (write_ogb, "feat"),
}


@pytest.mark.parametrize(("write", "label"), OF_EDGES.values(), ids=OF_EDGES)
def test_labels_of_edges_are_read_from_each_format(write, label, tmp_path):
    shares = {"validation_share": 0.2, "test_share": 0.2}
    options = {"label": label, "edges": shares}
    data = EdgeDataModule("graph_file", str(write(tmp_path)), **options)
    found = {tuple(sorted(pair)): label for pair, label in zip(data.pairs.tolist(), data.labels.tolist(), strict=True)}
    assert found == {tuple(sorted(pair)): kind for pair, kind in zip(PAIRS, KINDS.tolist(), strict=True)}
    assert data.class_names == ["0", "1"] and "features" not in data.graph.edata and data.graph.num_edges == 14
    again = EdgeDataModule("graph_file", str(write(tmp_path)), for_run=data.spec, **options)
    assert again.other is None and again.spec["digest"] == data.spec["digest"]


@pytest.mark.parametrize("name", ["heterophilous", "content", "pyg_dictionary", "graphml"])
def test_a_format_without_labels_of_edges_is_told(name, tmp_path):
    with pytest.raises(UserError) as error:
        EdgeDataModule("graph_file", str(WRITERS[name][0](tmp_path)))
    told = "has no column label, which data.level=edge needs; the edges have: nothing"
    if name != "graphml":
        usual = "edge_label" if name.startswith("pyg") else "label"
        told = f"its edges have no {usual}, and no data at all; fix: use a format that holds them"
    assert told in str(error.value) and "\n" not in str(error.value)


def test_both_directions_of_an_edge_are_one_item_unless_their_labels_differ(tmp_path):
    edges = torch.tensor(PAIRS).T
    both = torch.cat([edges, edges.flip(0)], 1)

    def read(labels, **more) -> EdgeDataModule:
        nodes = {name: value for name, value in parts().items() if not name.endswith("mask")}
        values = nodes | {"edge_index": both, "edge_label": labels} | more
        torch.save(values, tmp_path / "g.pt")
        return EdgeDataModule("graph_file", str(tmp_path / "g.pt"), edges={"validation_share": 0.2, "test_share": 0.2})

    kinds = torch.from_numpy(KINDS)
    twice = torch.cat([kinds, kinds])
    twice[4] = 1  # known in one direction only
    data = read(twice)
    assert not data.directed and data.pairs.tolist() == [list(pair) for pair in PAIRS]
    assert data.labels.tolist() == [0, 1, 0, 1, 1, 1, 0] and sum(map(len, data.splits.values())) == 7
    masks = {f"{split}_mask": torch.zeros(14, dtype=torch.bool) for split in ("train", "val", "test")}
    masks["train_mask"][[0, 1, 7, 8]] = masks["val_mask"][[2, 3]] = masks["test_mask"][[5, 12]] = True
    splits = {name: items.tolist() for name, items in read(twice, **masks).splits.items()}
    assert splits == {"train": [0, 1], "val": [2, 3], "test": [5]}
    masks["val_mask"][12], masks["test_mask"][12] = True, False
    with pytest.raises(UserError, match="both directions of an edge are in different splits"):
        read(twice, **masks)
    twice[0] = 1
    data = read(twice)
    assert data.directed and len(data.pairs) == 14 and "both directions of an edge have labels of th" in data.note


def test_labels_of_edges_in_memory():
    graph = networkx.Graph()
    graph.add_edges_from((*pair, {"length": one / 2}) for one, pair in enumerate(PAIRS))
    options = {"edges": {"validation_share": 0.2, "test_share": 0.2}}
    data = EdgeDataModule.from_graph(graph, labels="length", target="regression", **options)
    assert sorted(data.labels.tolist()) == [number / 2 for number in range(7)] and data.spec["directed"] is False
    ends = data.id_columns(torch.tensor([int(data.labels.argmax())]))
    assert {*ends["src"], *ends["dst"]} == {"1", "4"}  # the last of PAIRS
    with pytest.raises(UserError, match="are floating numbers, and no classes; fix: target=regression"):
        EdgeDataModule.from_graph(graph, labels="length", **options)
    with pytest.raises(UserError, match="its edges have no label; they have: length; fix: set labels=NAME"):
        EdgeDataModule.from_graph(graph, **options)
