"""Test that held-out links carry no messages, and that negatives are no edges and a function of (seed, step)."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lightning_dl2 import LinkDataModule, UserError
from lightning_dl2.data.graph_files.graph_sets import NodeSet
from lightning_dl2.data.graphs.links.asked_pairs import read_pairs
from lightning_dl2.data.graphs.links.heuristics import adamic_adar, feature_cosine
from lightning_dl2.data.splits import SPLITS
from lightning_dl2.graphs import Graph, GraphBatch, SparseMatrix
from lightning_dl2.nets.graph.pair_network import PairNetwork
from tests.small import BLOCK_MODEL

SIZES = dict(in_feats=4, node_types=0, edge_feats=0, edge_types=0, positional_size=0, positional=None, engine="torch")


def small_links(**options) -> LinkDataModule:
    """Return about 225 links of 90 nodes, an eighth of them held out each for validation and test."""
    shares = {"validation_share": 0.125, "test_share": 0.125} | options.pop("edges", {})
    return LinkDataModule("sbm", **{"block_model": BLOCK_MODEL, "batch_size": 40, "edges": shares} | options)


def directed_set(nodes: int = 30, edges: int = 140) -> NodeSet:
    """Return a directed graph with a self-loop, a repeated edge, and features of the edges: their numbers."""
    rng = np.random.default_rng(0)
    src, dst = (torch.from_numpy(ends) for ends in rng.integers(nodes, size=(2, edges)))
    src[:3], dst[:3] = torch.tensor([4, 5, 5]), torch.tensor([4, 6, 6])
    features = torch.eye(nodes)
    numbers = torch.arange(float(edges))[:, None]
    labels = torch.full((nodes,), -1)
    return NodeSet(src, dst, nodes, features, labels, [], edge_features=numbers)


def ends(pairs: torch.Tensor, directed: bool = False) -> set[tuple[int, int]]:
    found = {(u, v) for u, v in pairs.tolist()}
    return found if directed else {(min(pair), max(pair)) for pair in found}


def edges_of(graph: Graph | NodeSet, directed: bool = False) -> set[tuple[int, int]]:
    others = graph.src != graph.dst
    return ends(torch.stack([graph.src, graph.dst], 1)[others], directed)


def on_rank(data: LinkDataModule, rank: int, world: int) -> LinkDataModule:
    data.trainer = SimpleNamespace(global_rank=rank, world_size=world, overfit_batches=0.0)
    return data


def same(one: GraphBatch, other: GraphBatch) -> bool:
    pairs = [(batch.graphs.src, batch.graphs.dst, batch.index, batch.targets, batch.ids) for batch in (one, other)]
    return all(map(torch.equal, *pairs)) and one.weight == other.weight


CASES = {
    "undirected": (small_links, False),
    "directed": (lambda **options: LinkDataModule(directed_set(), **options), True),
}
BOTH = pytest.mark.parametrize(("build", "directed"), CASES.values(), ids=CASES)


@BOTH
def test_every_edge_is_one_link_of_one_split_and_negatives_are_no_edges(build, directed):
    data = build(seed=1)
    assert data.directed == directed == data.spec["directed"]
    parts = {split: data.splits[split] for split in SPLITS}
    links = {split: ends(data.pairs[items[data.labels[items] == 1]], directed) for split, items in parts.items()}
    negatives = {split: ends(data.pairs[items[data.labels[items] == 0]], directed) for split, items in parts.items()}
    whole = edges_of(data.set, directed)
    assert set.union(*links.values()) == whole and sum(map(len, links.values())) == len(whole)
    assert not negatives["train"] and not negatives["val"] & negatives["test"]
    for split in ("val", "test"):
        assert len(negatives[split]) == len(links[split]) > 5 and not negatives[split] & whole
        assert len(parts[split]) == 2 * len(links[split])
    assert all(u != v for split in negatives for u, v in negatives[split])
    if directed:
        assert any((v, u) in whole for u, v in negatives["test"] | negatives["val"])  # the other order is no edge


@BOTH
def test_held_out_links_are_in_no_message_and_a_steps_own_links_neither(build, directed):
    data = build()
    held_out = {split: ends(data.pairs[data.splits[split]], directed) for split in ("val", "test")}
    train = ends(data.pairs[data.splits["train"]], directed)
    assert edges_of(data.graph, directed) == train
    for split in SPLITS:
        (batch,) = data.evaluation_batches(split)
        assert batch.graphs is data.graph
    asked = set()
    for step in range(data.batches_per_epoch):
        batch = data.train_batch(step)
        links = ends(batch.index[batch.targets == 1], directed)
        drawn = ends(batch.index[batch.targets == 0], directed)
        assert edges_of(batch.graphs, directed) == train - links and links < train
        assert not drawn & (edges_of(data.set, directed) | held_out["val"] | held_out["test"])
        assert (batch.ids >= 0).equal(batch.targets == 1) and len(batch) == 2 * len(links)
        asked |= links
    assert asked == train and data.batches_per_epoch >= 5
    batch = build(edges={"hide_supervised": False, "negatives": 3}).train_batch(0)
    assert edges_of(batch.graphs, directed) == train if not directed else batch.graphs.num_edges > 0
    assert batch.targets.mean() == 0.25


def test_self_loops_stay_repeats_go_together_and_edges_keep_their_features():
    whole = directed_set()
    for seed in range(12):
        data = LinkDataModule(whole, seed=seed)
        hidden = data.train_batch(0).graphs
        for graph in (data.graph, hidden):
            numbers = graph.edata["features"].squeeze(1).long()
            assert torch.equal(graph.src, whole.src[numbers]) and torch.equal(graph.dst, whole.dst[numbers])
            assert 0 in numbers and (1 in numbers) == (2 in numbers)
    said = ("directed links: ", "repeated edges are no links", "self-loops are no links", "a step asks for ")
    assert all(part in data.note for part in said)


def test_a_batch_is_a_function_of_seed_and_step():
    data, again = small_links(seed=3), small_links(seed=3)
    third = data.train_batch(3)
    data.train_batch(0), data.train_batch(70)
    assert same(data.train_batch(3), third) and same(again.train_batch(3), third)
    assert not same(data.train_batch(3 + data.batches_per_epoch), third)
    other = small_links(seed=4)
    assert not same(other.train_batch(3), third) and not torch.equal(other.pairs, data.pairs)
    assert torch.equal(data.pairs, again.pairs) and all(torch.equal(data.splits[s], again.splits[s]) for s in SPLITS)


def test_ranks_share_the_pairs_of_one_process():
    alone = small_links(batch_size=40)
    shares = [on_rank(small_links(batch_size=20), rank, 2) for rank in range(2)]
    one, parts = alone.train_batch(1), [share.train_batch(1) for share in shares]
    assert ends(torch.cat([part.index for part in parts])) == ends(one.index)
    assert all(torch.equal(part.graphs.src, one.graphs.src) for part in parts)
    assert sum(part.weight for part in parts) == pytest.approx(2) and sum(map(len, parts)) == len(one)
    tests = [share.evaluation_batches("test")[0] for share in shares]
    assert sorted(torch.cat([part.ids for part in tests]).tolist()) == sorted(alone.splits["test"].tolist())


def test_blocks_have_the_messages_of_the_whole_graph_and_nothing_else():
    whole, sampled = small_links(), small_links(fanouts=[1000, 1000], num_workers=0)
    torch.manual_seed(0)
    net = PairNetwork(num_outputs=1, directed=False, layer="gcn", decoder="mlp", **SIZES).eval()
    for step in range(2):
        one, other = whole.train_batch(step), sampled.train_batch(step)
        assert isinstance(other.graphs, list) and torch.equal(other.targets, one.targets)
        outputs = [net.decode(net(batch.graphs), batch.index) for batch in (one, other)]
        torch.testing.assert_close(*outputs)
    few = small_links(fanouts=[2, 2], seed=1)
    blocks = few.train_batch(3).graphs
    assert max(block.in_degrees.max() for block in blocks) == 2
    assert all(torch.equal(a.src, b.src) for a, b in zip(blocks, few.train_batch(3).graphs, strict=True))


def test_too_dense_and_too_small_graphs_are_told():
    src, dst = np.triu_indices(8, 1)
    src, dst = (torch.from_numpy(np.concatenate(each)) for each in ((src, dst), (dst, src)))
    full = NodeSet(src, dst, 8, None, torch.full((8,), -1), [])
    with pytest.raises(
        UserError, match="data.edges.evaluation_negatives=1: the graph is too dense, 0 pairs of nodes have no edge"
    ):
        LinkDataModule(full, edges={"validation_share": 0.2, "test_share": 0.2})
    few = NodeSet(src[:3], dst[:3], 8, None, torch.full((8,), -1), [])
    with pytest.raises(UserError, match="data.edges.validation_share=0.05: of 3 links none is in the split val"):
        LinkDataModule(few)


def write(directory, pairs, nodes, header="id,x,y") -> str:
    directory.mkdir()
    rows = [",".join([f"n{node}", *(str(node % (3 + place)) for place in range(header.count(",")))]) for node in nodes]
    (directory / "nodes.csv").write_text("\n".join([header, *rows]))
    (directory / "edges.csv").write_text("\n".join(["src,dst", *(f"n{u},n{v}" for u, v in pairs)]))
    return str(directory)


def test_pairs_of_another_graph_are_asked_with_all_its_messages(tmp_path):
    ring = [(node, (node + 1) % 40) for node in range(40)]
    data = LinkDataModule("graph_csv", write(tmp_path / "one", ring, range(40)))
    again = LinkDataModule("graph_csv", str(tmp_path / "one"), for_run=data.spec)
    assert again.other is None and again.spec == data.spec  # the graph of the run
    pairs = torch.tensor([[0, 1], [0, 7]])
    assert again.ask(data.pairs[data.splits["test"][:1]]) is None and edges_of(again.graph) == edges_of(data.graph)
    grown = [*ring, (40, 41), (41, 42), (42, 43), (43, 44)]
    path = write(tmp_path / "two", grown, range(45), "id,y,x")
    other = LinkDataModule("graph_csv", path, for_run=data.spec)
    assert "columns of node features are put into the order of training" in other.other
    assert {split: len(items) > 0 for split, items in other.splits.items()} == dict.fromkeys(SPLITS, True)
    assert edges_of(other.graph) < edges_of(other.set)
    told = other.ask(pairs)
    assert told == "1 of 2 pairs are edges that carry messages: the net sees them"
    assert other.labels.tolist() == [1, 0] and edges_of(other.graph) == edges_of(other.set)
    assert other.id_columns(other.items("rest")) == {"src": ["n0", "n0"], "dst": ["n1", "n7"]}
    kept = LinkDataModule("graph_csv", str(tmp_path / "one"), features={"drop": ["y"]})
    later = LinkDataModule("graph_csv", path, features={"drop": ["y"]}, for_run=kept.spec)
    assert later.graph.ndata["features"].shape == (45, 1) and "not read: y" in later.note
    with pytest.raises(UserError, match="has no column y, which the run was trained with"):
        LinkDataModule("graph_csv", write(tmp_path / "three", ring, range(40), "id,x"), for_run=data.spec)


WRONG_PAIRS = {
    "src,dst\nn0,n1\nn2,n9\n": ":3: the graph has no node 'n9'; did you mean ",
    "src,dst\nn0,n1\nn1,n1\n": ":3: is the node n1 with itself; allowed: two nodes",
    "": ": is empty",
    "src,dst\n": "has no rows below its column names",
    "one,other\nn0,n1\n": ":1: has no column src; allowed: src and dst",
    "src,dst\nn0\n": ":2: 1 cells instead of 2",
}


@pytest.mark.parametrize("text", WRONG_PAIRS)
def test_wrong_pairs_are_told(text, tmp_path):
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(UserError) as error:
        read_pairs(tmp_path / "pairs.csv", ["n0", "n1", "n2"])
    assert WRONG_PAIRS[text] in str(error.value) and "pairs.csv" in str(error.value) and "\n" not in str(error.value)


def test_pairs_are_read_by_the_names_of_the_graph(tmp_path):
    (tmp_path / "pairs.csv").write_text("rank;target;source\n1;n1;n0\n2;n0;n2\n")
    pairs, note = read_pairs(tmp_path / "pairs.csv", ["n0", "n1", "n2"])
    assert pairs.tolist() == [[0, 1], [2, 0]]
    assert note.endswith("source and target are read as src and dst; columns that are not read: rank")
    (tmp_path / "bare.csv").write_text("n0,n1\nn2,n0\n")
    assert read_pairs(tmp_path / "bare.csv", ["n0", "n1", "n2"])[0].equal(pairs)
    with pytest.raises(UserError, match="pairs=.*none.csv: there is no such file"):
        read_pairs(tmp_path / "none.csv", ["n0"])


def test_baselines_equal_those_of_a_loop():
    data = small_links()
    pairs, graph = data.pairs[data.splits["test"]], data.graph
    after = {node: {*graph.dst[graph.src == node].tolist()} for node in range(graph.num_nodes)}
    expected = [sum(1 / np.log(len(after[w])) for w in after[u] & after[v]) for u, v in pairs.tolist()]
    assert adamic_adar(graph, pairs).tolist() == pytest.approx(expected)
    scores, labels = adamic_adar(graph, pairs), data.labels[data.splits["test"]]
    beaten = [(a > b) + (a == b) / 2 for a in scores[labels == 1].tolist() for b in scores[labels == 0].tolist()]
    assert data.baselines()["adamic_adar_baseline"] == pytest.approx(np.mean(beaten))
    x = graph.ndata["features"]
    cosine = torch.nn.functional.cosine_similarity(x[pairs[:, 0]], x[pairs[:, 1]])
    rows, columns = x.nonzero().T
    sparse = SparseMatrix.from_coo(rows, columns, x[rows, columns], tuple(x.shape))
    assert feature_cosine(x, pairs).equal(cosine)
    torch.testing.assert_close(feature_cosine(sparse, pairs), cosine)
