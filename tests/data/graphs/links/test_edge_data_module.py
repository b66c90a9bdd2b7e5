"""Test that labels of edges are read as the file lists the edges, split by it or the seed, and in no feature."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_dl2 import EdgeDataModule, GraphNet, UserError, predict
from lightning_dl2.config.compose import compose
from lightning_dl2.data.splits import SPLITS
from lightning_dl2.training.start import train
from tests.small import small_trainer


def write(directory: Path, edges: str, nodes: int = 6) -> str:
    directory.mkdir(exist_ok=True)
    (directory / "nodes.csv").write_text("id,x\n" + "".join(f"n{node},{node}\n" for node in range(nodes)))
    (directory / "edges.csv").write_text(edges)
    return str(directory)


EDGES = """src,dst,weight,label,split
n0,n1,5,good,train
n1,n2,6,bad,train
n2,n3,7,,
n3,n4,8,good,val
n4,n5,9,bad,test
n5,n0,4,bad,
"""


def test_an_edge_is_an_item_with_its_label_and_all_carry_messages(tmp_path):
    data = EdgeDataModule("graph_csv", write(tmp_path / "g", EDGES))
    assert data.class_names == ["bad", "good"] and not data.directed and data.spec["level"] == "edge"
    assert data.labels.tolist() == [1, 0, -1, 1, 0, 0] and data.graph.num_edges == 12
    assert {name: data.splits[name].tolist() for name in SPLITS} == {"train": [0, 1], "val": [3], "test": [4]}
    assert data.items("rest").tolist() == [2, 5]  # of unknown label, or in no split
    assert data.id_columns(data.splits["test"]) == {"src": ["n4"], "dst": ["n5"]}
    assert data.graph.edata["features"].shape[1] == 1 and sorted(
        set(data.graph.edata["features"].flatten().tolist())
    ) == [4, 5, 6, 7, 8, 9]  # the weight alone
    for split in SPLITS:
        (batch,) = data.evaluation_batches(split)
        assert batch.graphs is data.graph and torch.equal(batch.index, data.pairs[data.splits[split]])
    batch = data.train_batch(0)
    assert sorted(batch.targets.tolist()) == [0, 1] and batch.index.shape == (2, 2)
    assert "5 of 6 undirected edges have a label: 2 train, 1 val, 1 test" in data.note
    assert EdgeDataModule("graph_csv", str(tmp_path / "g"), undirected=False).directed


def test_without_splits_the_seed_draws_among_the_labelled(tmp_path):
    rows = "".join(f"n{node},n{(node + 1) % 40},{'' if node % 4 == 0 else node % 2}\n" for node in range(40))
    path = write(tmp_path / "g", "src,dst,label\n" + rows, nodes=40)
    shares = {"validation_share": 0.2, "test_share": 0.2}
    one, again, other = (EdgeDataModule("graph_csv", path, edges=shares, seed=seed) for seed in (0, 0, 1))
    assert [len(one.splits[name]) for name in SPLITS] == [18, 6, 6]
    members = torch.cat([one.splits[name] for name in SPLITS])
    assert len(members.unique()) == 30 and (one.labels[members] >= 0).all()
    assert torch.equal(one.splits["test"], again.splits["test"])
    assert not torch.equal(one.splits["test"], other.splits["test"])


def test_edges_of_another_graph_need_no_labels_and_classes_are_matched_by_name(tmp_path):
    data = EdgeDataModule("graph_csv", write(tmp_path / "g", EDGES))
    again = EdgeDataModule("graph_csv", str(tmp_path / "g"), for_run=data.spec)
    assert again.other is None and again.spec == data.spec
    bare = EdgeDataModule("graph_csv", write(tmp_path / "h", "src,dst,weight\nn0,n1,2\nn1,n2,3\n"), for_run=data.spec)
    assert bare.class_names == data.class_names and bare.labels.tolist() == [-1, -1] and bare.splits == {}
    assert bare.items("rest").tolist() == [0, 1] and not bare.count_items("train")
    assert "0 of 2 undirected edges have a label: no split" in bare.note
    path = write(tmp_path / "i", "src,dst,weight,label\nn0,n1,2,good\nn1,n2,3,poor\n")
    other = EdgeDataModule("graph_csv", path, for_run=data.spec)
    assert other.labels.tolist() == [1, -1] and "1 labels are of classes that the run does not know" in other.other
    other.ask(torch.tensor([[2, 3], [1, 0]]))
    assert other.labels.tolist() == [-1, 1] and other.count_items("rest") == 2


WRONG = {
    "src,dst\nn0,n1\n": "has no column label, which data.level=edge needs",
    "src,dst,label\nn0,n1,\n": "no edge has a label",
    "src,dst,label,split\nn0,n1,,train\nn1,n2,a,val\n": ":2: an edge of the split train has no label",
    "src,dst,label,split\nn0,n1,a,train\nn1,n2,b,val\n": "no edge has the split test",
    "src,dst,label\nn0,n1,a\nn0,n1,b\n": "is the same edge as",
    "src,dst,label\nn0,n1,a\nn1,n2,a\n": "has one class only",
}


@pytest.mark.parametrize("edges", WRONG, ids=WRONG.values())
def test_wrong_labels_are_told(edges, tmp_path):
    with pytest.raises(UserError, match=WRONG[edges]):
        EdgeDataModule("graph_csv", write(tmp_path / "g", edges))


def communities(directory: Path) -> str:
    """Write a graph of two communities; the label of an edge says whether its ends belong to one, its length, too."""
    rng = np.random.default_rng(0)
    side = rng.integers(2, size=60)
    pairs = sorted({(min(u, v), max(u, v)) for u, v in rng.integers(60, size=(300, 2)).tolist() if u != v})
    rows = "".join(
        f"{u},{v},{'inside' if side[u] == side[v] else 'between'},{abs(side[u] - side[v])}\n" for u, v in pairs
    )
    directory.mkdir(exist_ok=True)
    (directory / "nodes.csv").write_text(
        "id,x\n" + "".join(f"{n},{side[n] + rng.normal() / 3:.4f}\n" for n in range(60))
    )
    (directory / "edges.csv").write_text("src,dst,label,length\n" + rows)
    return str(directory)


@pytest.mark.slow
def test_classes_and_numbers_of_edges_are_learnt_and_predicted(tmp_path):
    path = communities(tmp_path / "g")
    words = ["experiment=graph", "data=graph_csv", f"data.path={path}", "data.level=edge", "task.decoder=mlp"]
    words += ["task.layer=sage", "task.dropout=0", "trainer.max_steps=60", f"root={tmp_path}", "callbacks.curves=false"]
    words += ["data.edges.test_share=0.3", "data.features.edge_columns=[]", "task.embedding_size=16"]
    result, objects = train(compose(*words))
    assert result["metrics"]["test/accuracy"] > 0.85 > result["metrics"]["test/best_constant_baseline"]
    rows = predict(objects["run"])
    assert list(rows[0]) == ["src", "dst", "split", "target", "prediction", "p(between)", "p(inside)"]
    (tmp_path / "pairs.csv").write_text("src,dst\n0,1\n5,9\n")
    asked = predict(objects["run"], pairs=tmp_path / "pairs.csv", data_path=communities(tmp_path / "again"))
    assert [(row["src"], row["dst"]) for row in asked] == [("0", "1"), ("5", "9")]
    numbers = EdgeDataModule("graph_csv", path, label="length", target="regression", features={"edge_columns": []})
    task = GraphNet(numbers.spec, decoder="mlp", layer="sage", embedding_size=16, optimizer={"learning_rate": 0.02})
    trainer = small_trainer(max_steps=60)
    trainer.fit(task, numbers)
    (found,) = trainer.test(task, numbers, verbose=False)
    assert found["test/mean_absolute_error"] < 0.25 < found["test/median_baseline"]
