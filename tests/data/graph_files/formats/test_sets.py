"""Test that one set of graphs is the same in every format that holds several."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_dl2 import GraphSetDataModule, UserError
from lightning_dl2.builtin.graph_formats import OWN_GRAPH_SETS
from lightning_dl2.data.graph_files.own.reading import PLAIN, Reading
from lightning_dl2.data.graph_files.own.set_readers import SET_READERS, read_own_graph_set
from tests.graph_formats import GRAPH_LABELS, GRAPHS, NEEDS_DGL, SET_WRITERS, WRITERS, graph_parts, gzip_table
from tests.graph_formats import node_features as features_of

FORMATS = [pytest.param(name, marks=marks) for name, (_, marks) in SET_WRITERS.items()]


def written(name: str, path: Path) -> Path:
    return SET_WRITERS[name][0](path)


def told(path: Path, **asked) -> str:
    with pytest.raises(UserError) as caught:
        read_own_graph_set(path, Reading(**asked))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_gives_the_same_graphs(name, tmp_path):
    found = read_own_graph_set(written(name, tmp_path), PLAIN)
    assert found.num_nodes.tolist() == [count for count, _, _ in GRAPHS]
    ends = found.num_edges.cumsum(0).tolist()
    for number, (_, pairs, _) in enumerate(GRAPHS):
        part = slice(ends[number] - 2 * len(pairs), ends[number])
        edges = sorted(zip(found.src[part].tolist(), found.dst[part].tolist(), strict=True))
        assert edges == sorted(pairs + [(other, one) for one, other in pairs])
    assert found.labels.tolist() == GRAPH_LABELS and found.class_names == ["0", "1"]
    assert torch.equal(found.node_features, torch.cat([features_of(count) for count, _, _ in GRAPHS]))
    splits = {"train": [0, 1], "val": [2], "test": [3]} if name == "ogb" else None
    assert (found.splits and {name: graphs.tolist() for name, graphs in found.splits.items()}) == splits
    assert found.graph_ids == (["g0", "g1", "g2", "g3"] if name == "dgl_csv" else None)


def test_the_test_has_every_format():
    names = {"torch" if name.startswith("pyg") else name for name in SET_WRITERS}
    assert names == set(OWN_GRAPH_SETS["graph_set_file"]) == set(SET_READERS)


def test_a_data_module_serves_them_and_tells_what_was_done(tmp_path):
    path = str(written("ogb", tmp_path))
    data = GraphSetDataModule("graph_set_file", path, batch_size=2)
    assert data.splits["test"].tolist() == [3] and "8 edges have no reverse (the reverse is added)" in data.note
    assert data.train_batch(0).targets.shape == (2,)
    one_way = GraphSetDataModule("graph_set_file", path, undirected=False)
    assert "data.undirected=true adds it" in one_way.note and len(one_way.set.src) == 8


@NEEDS_DGL
def test_labels_of_another_name(tmp_path):
    path = written("dgl", tmp_path)
    assert "not read of the graphs: weight" in read_own_graph_set(path, PLAIN).note
    assert read_own_graph_set(path, Reading(label="label")).labels.tolist() == GRAPH_LABELS
    says = f"data.path={path}: its graphs have no kind; they have: label, weight; fix: set data.label=NAME"
    assert told(path, label="kind").startswith(says)
    assert told(path, label="weight").endswith("has one class only, 1; allowed: two classes or more")


def test_kinds_of_atoms_are_features_of_zeros_and_ones(tmp_path):
    """OGB's molecules have several columns of whole numbers, which its nets embed one by one."""
    path = written("ogb", tmp_path)
    atoms = np.array([[5, 0], [5, 1], [7, 2]] * 4)
    gzip_table(path / "raw" / "node-feat.csv.gz", atoms)
    found = read_own_graph_set(path, PLAIN)
    assert found.node_features[:3].tolist() == [[1, 0, 1, 0, 0], [1, 0, 0, 1, 0], [0, 1, 0, 0, 1]]
    assert "2 columns of whole numbers of nodes are 5 features of 0 and 1" in found.note
    gzip_table(path / "raw" / "node-feat.csv.gz", atoms[:, :1])  # one column is a type, which gets an embedding
    found = read_own_graph_set(path, PLAIN)
    assert found.node_types[:3].tolist() == [0, 0, 1] and found.num_node_types == 2 and found.node_features is None


def test_one_graph_is_no_set(tmp_path):
    path = WRITERS["gml"][0](tmp_path)
    assert told(path).startswith(f"data.path={path}: is one graph; fix: data=graph_file")
    path = WRITERS["ogb"][0](tmp_path)
    assert "its graphs have no label; they have: nothing; fix: set data.label=NAME" in told(path)


def test_graphs_that_do_not_fit_together(tmp_path):
    parts = graph_parts()
    parts[2].pop("x")
    torch.save(parts, tmp_path / "graphs.pt")
    assert "graphs[2]: has no 'x' of nodes, but graphs[0] has; allowed: all graphs or none" in told(
        tmp_path / "graphs.pt"
    )
    path = written("dgl_csv", tmp_path)
    (path / "edges.csv").write_text("graph_id,src_id,dst_id\ng9,0,1\n")
    assert told(path) == f"data.path={path}/edges.csv: line 2 is of the graph g9; allowed: g0, g1, g2, g3"


def test_a_split_of_the_files_has_no_folds(tmp_path):
    path = str(written("ogb", tmp_path))
    with pytest.raises(UserError, match=f"data.fold=1: {path} has a split of its own; allowed: 0"):
        GraphSetDataModule("graph_set_file", path, fold=1)
