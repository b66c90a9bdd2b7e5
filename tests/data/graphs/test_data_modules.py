"""Test that batches of graphs depend on (seed, step, rank) only, and that each item is in one of them, on one rank."""

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.build import build_data
from lightning_dl2.data.graph_files.graph_sets import NodeSet
from lightning_dl2.data.graphs import node_data_module
from lightning_dl2.data.graphs.graph_data_module import GraphDataModule
from lightning_dl2.data.graphs.graph_set_data_module import GraphSetDataModule
from lightning_dl2.data.graphs.node_data_module import NodeDataModule
from lightning_dl2.data.splits import SPLITS
from lightning_dl2.graphs import Graph, GraphBatch, SparseMatrix
from lightning_dl2.graphs.positional_encodings import ENCODINGS
from lightning_dl2.nets import LAYERS
from tests.graph_files import REAL, needs, write_planetoid, write_ten_fold
from tests.small import BLOCK_MODEL, small_graph, small_graph_net, small_graph_set, write_graph, write_molecules

DATA = {
    "whole": small_graph,
    "sampled": partial(small_graph, fanouts=[3, 2]),
    "graphs": small_graph_set,
    "pattern": partial(small_graph_set, "pattern", num_graphs=14, batch_size=3),
}
ALL = [pytest.param(build, id=name) for name, build in DATA.items()]
IN_BATCHES = ALL[1:]


def on_rank(data: GraphDataModule, rank: int, world: int, done: int = 0) -> GraphDataModule:
    """Set the Trainer that `data` finds in process `rank` of `world`, after `done` batches."""
    progress = SimpleNamespace(total=SimpleNamespace(processed=done))
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    data.trainer = SimpleNamespace(global_rank=rank, world_size=world, fit_loop=loop, overfit_batches=0.0)
    return data


def content(batch: GraphBatch) -> Iterator[Tensor]:
    """Return every tensor of a batch in a fixed order."""
    for graph in batch.graphs if isinstance(batch.graphs, list) else [batch.graphs]:
        yield from (graph.src, graph.dst, graph.batch_num_nodes, *(graph.full_degrees or ()))
        for name, values in sorted((graph.ndata | graph.edata).items()):
            yield from (torch.tensor(len(name)), values if isinstance(values, Tensor) else values.to_dense())
    yield from (batch.targets, batch.ids, torch.tensor(batch.weight))
    yield from () if batch.index is None else (batch.index,)


def equal(one: GraphBatch, other: GraphBatch) -> bool:
    pairs = list(zip(content(one), content(other), strict=False))
    return len(pairs) == len(list(content(one))) == len(list(content(other))) and all(
        torch.equal(a, b) for a, b in pairs
    )


def epoch(data: GraphDataModule, number: int = 0) -> list[GraphBatch]:
    size = data.batches_per_epoch
    return [data.train_batch(number * size + k) for k in range(size)]


def items(data: GraphDataModule, split: str) -> Tensor:
    """Return the graphs or nodes of a split."""
    index = data.splits[split]
    nodes = isinstance(data, GraphSetDataModule) and data.level == "node"
    return data._nodes(index) if nodes else index


def ids(batches: list[GraphBatch]) -> list[int]:
    return torch.cat([batch.ids for batch in batches]).tolist()


# The order of training.


@pytest.mark.slow
@pytest.mark.parametrize("build", IN_BATCHES)
def test_a_batch_is_a_pure_function_of_seed_and_step(build):
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    data = build(seed=3)
    third = data.train_batch(3)
    data.train_batch(0), data.train_batch(70)
    assert equal(data.train_batch(3), third) and equal(build(seed=3).train_batch(3), third)
    assert not equal(build(seed=4).train_batch(3), third) and not equal(data.train_batch(4), third)
    list(data.train_dataloader()), list(data.val_dataloader()), list(data.test_dataloader())
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


@pytest.mark.parametrize("build", IN_BATCHES)
def test_an_epoch_has_every_item_once_and_each_epoch_in_another_order(build):
    data = build()
    epochs = [ids(epoch(data, number)) for number in range(3)]
    assert all(sorted(found) == items(data, "train").tolist() for found in epochs)
    assert len({tuple(found) for found in epochs}) == 3
    many = isinstance(data, GraphSetDataModule)
    sizes = [batch.graphs.batch_size if many else len(batch) for batch in epoch(data)]
    assert max(sizes) - min(sizes) <= 1 and max(sizes) <= data.batch_size
    assert len(sizes) == -(-len(data.splits["train"]) // data.batch_size)
    assert {batch.weight for batch in epoch(data)} == {1.0}


def test_without_fanouts_every_step_is_the_whole_graph():
    data = small_graph()
    assert data.batches_per_epoch == len(data.train_dataloader()) == 1
    first, later = data.train_batch(0), data.train_batch(9)
    assert equal(first, later) and first.graphs is data.graph and first.chunk is None
    assert first.ids.tolist() == first.index.tolist() == data.splits["train"].tolist()
    assert torch.equal(first.targets, data.labels[first.ids])


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("build", ALL)
def test_ranks_share_out_the_batch_of_one_process(build, world):
    """The ranks' batches are disjoint and complete, and their weighted means average to the mean of the whole batch."""
    size = build().batch_size
    whole = build(batch_size=size * world)
    ranks = [on_rank(build(batch_size=size), rank, world) for rank in range(world)]
    assert {data.batches_per_epoch for data in ranks} == {whole.batches_per_epoch}
    value = torch.randn(10_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for step in range(2 * whole.batches_per_epoch):
        one, parts = whole.train_batch(step), [data.train_batch(step) for data in ranks]
        assert sorted(ids(parts)) == sorted(one.ids.tolist()) and all(len(part) for part in parts)
        assert sum(part.weight * value[part.ids].mean() for part in parts).item() / world == pytest.approx(
            value[one.ids].mean().item()
        )
        for part in parts:
            assert torch.equal(part.targets, whole.labels[part.ids])


def test_weights_are_not_all_one():
    """The negative control: two ranks cannot share 27 graphs evenly, so some weights differ from 1."""
    found = [on_rank(small_graph_set(), rank, 2).train_batch(1) for rank in (0, 1)]
    assert [len(batch) for batch in found] == [7, 6]
    assert [batch.weight for batch in found] == pytest.approx([14 / 13, 12 / 13])


@pytest.mark.slow
@pytest.mark.parametrize(("batch_size", "world"), [(1, 2), (1, 5), (100, 3), (5, 4)])
def test_uneven_sizes_leave_no_rank_without_a_batch(batch_size, world):
    for build in (small_graph_set, DATA["sampled"]):
        ranks = [on_rank(build(batch_size=batch_size), rank, world) for rank in range(world)]
        assert len({len(data.train_dataloader()) for data in ranks}) == 1
        everything = [batch for data in ranks for batch in epoch(data)]
        assert sorted(ids(everything)) == ranks[0].splits["train"].tolist()
        assert all(len(batch) for batch in everything)


def test_an_epoch_goes_on_where_training_stands():
    data = small_graph_set()
    found = list(on_rank(data, 0, 1, done=5).train_dataloader())
    assert len(found) == data.batches_per_epoch == 4
    assert all(equal(batch, data.train_batch(5 + index)) for index, batch in enumerate(found))


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_more_processes_than_items_are_refused(split):
    data = on_rank(NodeDataModule("karate_club"), 0, 40)
    call = data.train_dataloader().__len__ if split == "train" else getattr(data, f"{split}_dataloader")
    count = len(data.splits[split])
    message = f"trainer.devices: 40 processes share the {count} items of the {split} split; allowed: at most {count}"
    with pytest.raises(UserError, match=message):
        call()
    with pytest.raises(UserError, match="40 processes share"):
        data.check_processes(40)
    data.check_processes(min(map(len, data.splits.values())))


# Evaluation.


@pytest.mark.parametrize("world", [1, 2, 5])
@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("build", ALL)
def test_everything_is_evaluated_once_and_ranks_meet_in_every_batch(build, split, world):
    if build is DATA["pattern"]:
        build = partial(build, num_graphs=50)
    found, numbers = [], set()
    for rank in range(world):
        data = on_rank(build(), rank, world)
        loader = getattr(data, f"{split}_dataloader")()
        numbers.add(len(loader))
        found += loader
        assert all(len(batch) for batch in loader) and len(list(loader)) == len(loader)
    assert sorted(ids(found)) == items(data, split).tolist() and len(numbers) == 1
    assert all(torch.equal(batch.targets, data.labels[batch.ids]) for batch in found)
    if world == 1:
        assert ids(found) == items(data, split).tolist()  # in the order of the split


def test_batches_of_evaluation_are_even_and_collated_once():
    data = small_graph_set()
    loader = data.test_dataloader()
    assert [batch.graphs.batch_size for batch in loader] == [4, 4, 4]  # 12 graphs in batches of at most 5
    assert list(loader) == list(data.test_dataloader())
    on_rank(data, 1, 2)
    assert ids(data.test_dataloader()) != ids(loader)  # another rank has other items, although the module is the same


def test_chunks_are_for_evaluation():
    data = small_graph(evaluation_chunk=7)
    (batch,) = data.val_dataloader()
    assert (batch.chunk, data.train_batch(0).chunk) == (7, None) and batch.graphs is data.graph


# Sampled blocks.


def test_blocks_depend_on_no_threads_and_no_global_generator():
    first = DATA["sampled"]().train_batch(2)
    torch.set_num_threads(2)
    try:
        torch.manual_seed(99)
        np.random.seed(99)
        assert equal(DATA["sampled"]().train_batch(2), first)
    finally:
        torch.set_num_threads(1)


def test_blocks_end_at_the_batch():
    data = small_graph(fanouts=[3, 2])
    batch = data.train_batch(0)
    first, last = batch.graphs
    assert last.num_nodes == len(batch) and last.num_src == first.num_nodes and batch.index is None
    assert torch.equal(first.ndata["features"][: len(batch)], data.graph.ndata["features"][batch.ids])
    assert (
        torch.equal(batch.targets, data.labels[batch.ids])
        and first.in_degrees.max() <= 3
        and last.in_degrees.max() <= 2
    )


def test_neighbours_may_be_drawn_with_replacement():
    (block,) = small_graph(fanouts=[40], replace=True).train_batch(0).graphs
    assert bool((block.in_degrees[block.full_degrees[1] > 0] == 40).all())
    assert len(torch.stack([block.src, block.dst]).unique(dim=1)[0]) < block.num_edges


def test_neighbours_may_be_drawn_by_weight():
    nodes = replace(small_graph().set, edge_weights=torch.arange(len(small_graph().set.src)) % 3.0)
    options = {"split": "random", "train_per_class": 8, "validation_size": 30, "batch_size": 5}
    data = NodeDataModule(nodes, fanouts=[2], draw_by_weight=True, **options)
    (block,) = data.train_batch(0).graphs
    assert bool((block.edata["edge_weight"] > 0).all()) and block.in_degrees.max() == 2
    with pytest.raises(UserError, match="data.draw_by_weight=true: the edges have no weights"):
        small_graph(fanouts=[2], draw_by_weight=True)


def test_steps_and_ranks_sample_different_neighbours_of_the_same_node():
    data = small_graph(fanouts=[1])
    nodes, found = data.splits["train"], {}
    for rank, step in ((0, 0), (1, 0), (0, 1)):
        (block,) = on_rank(data, rank, 2)._batch(nodes, 1.0, step).graphs
        found[tuple(block.ndata["features"].flatten().tolist())] = block.num_edges
    assert len(found) == 3 and len(set(found.values())) == 1


def test_a_sampled_graph_keeps_its_self_loops(tmp_path):
    path = write_graph(tmp_path / "graph", [(0, 0), (0, 1), (1, 2), (2, 2)], "abab", "ttve")
    whole, sampled = (NodeDataModule("graph_csv", str(path), fanouts=fanouts) for fanouts in (None, [3]))
    assert whole.graph.num_edges == sampled.graph.num_edges == 6
    (block,) = sampled.sampler.sample(torch.tensor([2]), seed=0)
    assert block.in_degrees.tolist() == [2] and block.num_self_loops.tolist() == [1]


# Content.


def test_what_a_batch_of_graphs_holds():
    data = small_graph_set()
    batch = data.train_batch(1)
    assert batch.graphs.batch_num_nodes.tolist() == data.set.num_nodes[batch.ids].tolist()
    assert batch.index is batch.chunk is None and len(batch) == batch.graphs.batch_size
    number = int(batch.ids[2])
    alone = data.graphs[number]
    start = int(batch.graphs.batch_num_nodes[:2].sum())
    inside = (batch.graphs.dst >= start) & (batch.graphs.dst < start + alone.num_nodes)
    assert torch.equal(batch.graphs.src[inside] - start, alone.src)
    assert torch.equal(batch.graphs.ndata["features"], torch.ones(batch.graphs.num_nodes, 1))


def test_each_node_of_many_graphs_has_its_own_target():
    data = DATA["pattern"]()
    for batch in (*epoch(data), *data.val_dataloader(), *data.test_dataloader()):
        assert batch.graphs.num_nodes == len(batch.targets) == len(batch)
        assert torch.equal(batch.targets, data.labels[batch.ids])
        assert torch.equal(batch.graphs.ndata["types"], data.set.node_types[batch.ids])
    counts = data.set.num_nodes
    first, last = data.splits["test"].tolist()
    test = items(data, "test")
    assert data.names(test[:2]) == [f"{first}/0", f"{first}/1"]
    assert data.names(test[counts[first] - 1 :][:2]) == [f"{first}/{counts[first] - 1}", f"{last}/0"]


def test_spec_of_nodes():
    data = small_graph(positional={"kind": "random_walk", "size": 2})
    majority = (data.labels[data.splits["test"]] == 0).double().mean().item()  # ties go to the first class
    assert data.spec == {
        "level": "node",
        "target": "classification",
        "num_outputs": 3,
        "class_names": ["0", "1", "2"],
        "positional": "random_walk",
        "positional_size": 2,
        "sizes": {"train": 24, "val": 30, "test": 36},
        "in_feats": 4,
        "node_types": 0,
        "edge_feats": 0,
        "edge_types": 0,
        "digest": data.set.digest(),
        "parts": data.set.parts(),
        "columns": {"features": None, "edge_features": []},
        "class_shares": pytest.approx([1 / 3] * 3),
        "majority_baseline": majority,
    }
    assert data.spec is data.spec and data.state_dict() == {}
    found = data.baselines()
    assert set(found) == {"majority_baseline", "best_constant_baseline", "no_graph_baseline"}
    shares = [(data.labels[data.splits["test"]] == number).double().mean().item() for number in range(3)]
    assert found["majority_baseline"] == majority and found["best_constant_baseline"] == max(shares)
    assert {*small_graph(linear_baseline=False).baselines()} == {"majority_baseline", "best_constant_baseline"}
    assert 0 < found["no_graph_baseline"] < 1


@pytest.mark.slow
def test_spec_of_graphs():
    data = small_graph_set()
    train = data.labels[data.splits["train"]].tolist()
    assert data.spec["class_shares"] == pytest.approx([train.count(number) / 27 for number in range(8)])
    assert (data.spec["level"], data.spec["num_outputs"], data.spec["in_feats"]) == ("graph", 8, 1)
    assert data.spec["sizes"] == {"train": 27, "val": 9, "test": 12} and data.spec["positional"] is None
    constants = {"majority_baseline", "best_constant_baseline"}
    assert set(data.baselines()) == {*constants, "counts_baseline"}  # the number of edges is a count
    pattern = DATA["pattern"]()
    assert set(pattern.baselines()) == {*constants, "no_graph_baseline"}
    assert (pattern.spec["level"], pattern.spec["num_outputs"], pattern.spec["node_types"]) == ("node", 2, 3)
    targets = pattern.labels[items(pattern, "train")].double()
    assert pattern.spec["class_shares"] == pytest.approx([1 - targets.mean().item(), targets.mean().item()])


def test_spec_of_a_regression(molecules):
    data = small_graph_set("zinc", path=str(molecules))
    train, test = (data.labels[data.splits[split]].double() for split in ("train", "test"))
    error = (test - train.sort().values[4]).abs().mean().item()  # the lower median of ten numbers
    assert data.spec["median_baseline"] == pytest.approx(error)
    assert data.baselines()["median_baseline"] == data.spec["median_baseline"]
    assert data.baselines()["counts_baseline"] < error  # the sums nearly determine the mean of a molecule's types
    assert (data.spec["target"], data.spec["num_outputs"], data.spec["class_names"]) == ("regression", 1, [])
    assert (data.spec["node_types"], data.spec["edge_types"], data.spec["in_feats"]) == (3, 4, 0)
    assert "class_shares" not in data.spec and "majority_baseline" not in data.spec


def test_the_digest_is_that_of_the_content(tmp_path):
    edges = [(0, 1), (1, 2), (2, 3)]
    variants = {
        "same": (edges, "abab", "ttve"),
        "edge": ([*edges[:2], (1, 3)], "abab", "ttve"),
        "label": (edges, "abaa", "ttve"),
        "split": (edges, "abab", "ttev"),
    }
    paths = {name: write_graph(tmp_path / name, *graph) for name, graph in variants.items()}
    paths["again"] = write_graph(tmp_path / "again", *variants["same"])
    digests = {name: NodeDataModule("graph_csv", str(path)).spec["digest"] for name, path in paths.items()}
    assert digests.pop("again") == digests["same"] and len(set(digests.values())) == 4
    assert small_graph_set().spec["digest"] != small_graph_set(num_graphs=47).spec["digest"]


def test_nodes_are_called_what_the_user_calls_them(tmp_path):
    data = NodeDataModule("graph_csv", str(write_graph(tmp_path / "graph", [(0, 1)], "abab", "ttve")))
    assert data.names(torch.tensor([3, 0])) == ["n3", "n0"] and data.class_names == ["a", "b"]
    assert small_graph().names(torch.tensor([3, 0])) == ["3", "0"]
    assert small_graph_set().names(torch.tensor([3, 0])) == ["3", "0"]


# Splits and folds.


def test_a_random_split():
    data = small_graph(train_per_class=5, validation_size=20, test_size=30)
    assert {split: len(index) for split, index in data.splits.items()} == {"train": 15, "val": 20, "test": 30}
    assert len(torch.cat(list(data.splits.values())).unique()) == 65
    assert data.labels[data.splits["train"]].bincount().tolist() == [5, 5, 5]
    assert all((index.diff() > 0).all() for index in data.splits.values())
    rest = small_graph(train_per_class=5, validation_size=20)
    assert len(rest.splits["test"]) == 90 - 15 - 20
    again, other = (small_graph(train_per_class=5, validation_size=20, seed=seed) for seed in (0, 1))
    assert all(torch.equal(again.splits[split], rest.splits[split]) for split in SPLITS)
    assert not any(torch.equal(other.splits[split], rest.splits[split]) for split in SPLITS)


def test_nodes_without_a_label_are_in_no_split(tmp_path):
    path = write_graph(tmp_path / "graph", [(0, 1), (1, 2)], "ab?ba?ab??abab")
    data = NodeDataModule("graph_csv", str(path), split="random", train_per_class=2, validation_size=3)
    everything = torch.cat(list(data.splits.values()))
    assert sorted(everything.tolist()) == [0, 1, 3, 4, 6, 7, 10, 11, 12, 13]
    assert (data.labels[everything] >= 0).all() and data.graph.num_nodes == 14


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"train_per_class": 30}, "data.train_per_class=30: class 0 has 30 nodes; allowed: at most 29"),
        ({"train_per_class": 1000}, "data.train_per_class=1000: class 0 has 30 nodes; allowed: at most 29"),
        ({"validation_size": 66}, "data.validation_size=66: .* needs 67 nodes .* there are 66"),
        ({"validation_size": 30, "test_size": 37}, "data.validation_size=30: with data.test_size=37 .* needs 67"),
    ],
)
def test_an_impossible_random_split(options, says):
    with pytest.raises(UserError, match=says):
        small_graph(**options)


def test_the_largest_possible_random_split():
    assert len(small_graph(validation_size=65).splits["test"]) == 1
    assert len(small_graph(validation_size=30, test_size=36).splits["test"]) == 36
    assert small_graph(train_per_class=29, validation_size=1).spec["sizes"]["test"] == 2


def test_data_without_a_split_of_their_own(tmp_path):
    path = write_graph(tmp_path / "graph", [(0, 1)], "abab")
    with pytest.raises(UserError, match="data.split=public: these data have no split of their own; allowed: random"):
        NodeDataModule("graph_csv", str(path))


def test_one_class_is_nothing_to_tell_apart(tmp_path):
    path = write_graph(tmp_path / "graph", [(0, 1)], "aaaa", "ttve")
    with pytest.raises(UserError, match="data.name=graph_csv: has one class only, a; allowed: two"):
        NodeDataModule("graph_csv", str(path))


def test_the_public_split_is_that_of_the_source():
    data = NodeDataModule("karate_club")
    assert data.splits["train"].tolist() == [0, 33] and data.spec["sizes"] == {"train": 2, "val": 8, "test": 24}


def test_folds_are_complete_disjoint_and_the_same_for_every_seed():
    folds = [small_graph_set(fold=fold, seed=fold) for fold in range(4)]
    assert sorted(torch.cat([data.splits["test"] for data in folds]).tolist()) == list(range(48))
    for data in folds:
        everything = torch.cat([data.splits[split] for split in SPLITS])
        assert sorted(everything.tolist()) == list(range(48)) and len(data.splits["val"]) == 9
        assert data.labels[data.splits["test"]].bincount(minlength=8).tolist() == pytest.approx([1.5] * 8, abs=0.5)
    again = small_graph_set(fold=2, seed=77)
    assert all(torch.equal(again.splits[split], folds[2].splits[split]) for split in SPLITS)
    assert small_graph_set().splits["train"].tolist() != small_graph_set(num_folds=3).splits["train"].tolist()


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_the_validation_fraction_is_of_the_other_folds(fraction):
    assert small_graph_set(validation_fraction=fraction).spec["sizes"] == {
        "train": 36 - round(36 * fraction),
        "val": round(36 * fraction),
        "test": 12,
    }


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"num_folds": 49}, "data.num_folds=49: there are 48 graphs; allowed: at most 48"),
        ({"validation_fraction": 0.01}, "data.validation_fraction=0.01: of 36 graphs none .* val; fix: give a larger"),
        (
            {"validation_fraction": 0.99},
            "data.validation_fraction=0.99: of 36 graphs none .* train; fix: give a smaller",
        ),
    ],
)
def test_impossible_folds(options, says):
    with pytest.raises(UserError, match=says):
        small_graph_set(**options)


def test_folds_of_the_files(tmp_path):
    """Folds in the files are used; otherwise as many as asked for are generated."""
    path = write_ten_fold(tmp_path / "mutag")
    for fold in (0, 9):
        data = small_graph_set("mutag", path=str(path), num_folds=10, fold=fold)
        lines = (path / "10fold_idx" / f"test_idx-{fold + 1}.txt").read_text("utf-8").split()
        assert data.splits["test"].tolist() == sorted(map(int, lines))
        assert data.spec["sizes"]["train"] > data.spec["sizes"]["val"] > 0
        assert data.spec["sizes"]["train"] + data.spec["sizes"]["val"] == 42 - len(lines)
    with pytest.raises(UserError, match="data.num_folds=5: allowed: 10, as the files have"):
        small_graph_set("mutag", path=str(path), num_folds=5)


@needs("mutag/tu_format")
def test_mutag_in_the_tu_format():
    data = small_graph_set("mutag", path=str(REAL / "mutag" / "tu_format"), num_folds=5)
    assert sum(data.spec["sizes"].values()) == 188 and data.spec["edge_types"] == 4


def test_a_planetoid_set_has_the_public_split_and_sparse_features(tmp_path):
    data = NodeDataModule("cora", str(write_planetoid(tmp_path)), normalize_features=True)
    assert {name: len(nodes) for name, nodes in data.splits.items()} == {"train": 140, "val": 500, "test": 60}
    assert [int(data.splits[name].min()) for name in ("train", "val", "test")] == [0, 140, 650]
    assert isinstance(data.graph.ndata["features"], SparseMatrix)
    assert small_graph_net(data, hidden_size=4)(data.train_batch(0)).shape == (140, 7)


@needs("cora")
def test_cora_is_the_public_split_with_sparse_features():
    data = NodeDataModule("cora", str(REAL / "cora"), normalize_features=True)
    assert data.spec["sizes"] == {"train": 140, "val": 500, "test": 1000} and data.spec["in_feats"] == 1433
    assert data.spec["class_shares"] == pytest.approx([1 / 7] * 7)
    features = data.graph.ndata["features"]
    assert isinstance(features, SparseMatrix)
    torch.testing.assert_close(features.to_dense().sum(1), torch.ones(2708))
    batch = data.train_batch(0)
    assert small_graph_net(data, hidden_size=4)(batch).shape == (140, 7)


# Features.


@pytest.mark.parametrize(("kind", "encode"), ENCODINGS.items())
def test_positional_encodings_stand_beside_the_features(kind, encode):
    positional = {"kind": kind, "size": 3}
    data = small_graph(positional=positional)
    assert set(data.graph.ndata) == {"features", "positional"} and data.spec["positional_size"] == 3
    assert torch.equal(data.graph.ndata["positional"], encode(Graph(data.set.src, data.set.dst, 90), 3))
    sampled = small_graph(positional=positional, fanouts=[2]).train_batch(0).graphs[0]
    assert sampled.ndata["positional"].shape == (sampled.num_src, 3)
    many = small_graph_set(positional=positional)
    assert list(many.graphs.ndata) == ["positional"] and many.spec["in_feats"] == 0
    for number in (0, 17, 47):
        alone = many.graphs[number]
        expected = encode(Graph(alone.src, alone.dst, alone.num_nodes), 3)
        torch.testing.assert_close(alone.ndata["positional"], expected)


def test_more_laplacian_encodings_than_a_large_graph_can_have():
    large = BLOCK_MODEL | {"num_nodes": 4001}
    with pytest.raises(UserError, match="kind=laplacian: 2001 .*4001 nodes.*; fix: lower data.positional.size, or"):
        small_graph(block_model=large, positional={"kind": "laplacian", "size": 2001})


def test_features_add_up_to_one():
    plain, data = small_graph(), small_graph(normalize_features=True)
    before, after = plain.graph.ndata["features"], data.graph.ndata["features"]
    torch.testing.assert_close(after.abs().sum(1), torch.ones(90))
    torch.testing.assert_close(after * before.abs().sum(1, keepdim=True), before)


def test_sparse_features_add_up_to_one_and_zeros_stay():
    x = torch.tensor([[1.0, 0.0, 3.0], [0.0, 0.0, 0.0], [0.0, 0.5, 0.0]])
    expected = [[0.25, 0, 0.75], [0, 0, 0], [0, 1, 0]]
    normalize = node_data_module._normalized
    assert normalize(x).tolist() == normalize(SparseMatrix.from_dense(x)).to_dense().tolist() == expected
    rows = torch.tensor([0, 1, 1]), torch.tensor([2, 0, 1]), torch.tensor([4.0, 0.0, 0.0])
    assert node_data_module._normalized(SparseMatrix.from_coo(*rows, (2, 3))).to_dense().tolist() == [
        [0, 0, 1],
        [0, 0, 0],
    ]


# Errors.


def node_set(num_nodes: int, edges: list[tuple[int, int]], **options) -> NodeSet:
    """Return undirected edges among nodes of two alternating classes; the first nodes train, the others evaluate."""
    pairs = torch.tensor([*edges, *((dst, src) for src, dst in edges)], dtype=torch.int64).reshape(-1, 2)
    nodes = torch.arange(num_nodes)
    splits = {"train": nodes[:-2], "val": nodes[-2:-1], "test": nodes[-1:]} if num_nodes > 2 else None
    found = NodeSet(
        src=pairs[:, 0],
        dst=pairs[:, 1],
        num_nodes=num_nodes,
        features=torch.randn(num_nodes, 3, generator=torch.Generator().manual_seed(0)),
        labels=nodes % 2,
        class_names=["a", "b"],
        splits=splits or dict.fromkeys(SPLITS, nodes[:1]),
    )
    return replace(found, **options)


ODD = {
    "isolated_nodes": node_set(6, [(0, 1)]),
    "without_edges": node_set(6, []),
    "one_node": node_set(1, []),
    "zero_features": node_set(6, [(0, 1), (2, 3)], features=torch.zeros(6, 3)),
    "no_features": node_set(6, [(0, 1), (2, 3)], features=None),
    "sparse_features": node_set(6, [(0, 1), (2, 3)], features=SparseMatrix.from_dense(torch.eye(6))),
    "edge_features": node_set(6, [(0, 1), (2, 3)], edge_features=torch.randn(4, 2)),
    "self_loop": node_set(6, [(0, 0), (0, 1)]),
}


@pytest.mark.slow
@pytest.mark.parametrize("fanouts", [None, [2, 2]])
@pytest.mark.parametrize("case", ODD)
def test_odd_graphs_train_without_nan(case, fanouts, monkeypatch):
    """Loss, gradients and evaluation of odd graphs are finite for every layer, with and without norm."""
    monkeypatch.setattr(node_data_module, "load_node_set", lambda *args, **kwargs: ODD[case])
    data = NodeDataModule("sbm", fanouts=fanouts, batch_size=2)
    for layer in LAYERS:
        net = {"input_layer": True, "output_layer": "linear", "norm": "layer", "residual": True}
        for options in (net, {}) if layer != "gcnii" else (net,):
            task = small_graph_net(data, layer=layer, **options)
            loss = task.train().training_step(data.train_batch(0), 0)["loss"]
            loss.backward()
            values = [p.grad for p in task.parameters() if p.grad is not None]
            values += [loss, task.eval()(next(iter(data.test_dataloader())))]
            assert all(value.isfinite().all() for value in values), (layer, options)


@pytest.mark.parametrize("readout", ["mean", "sum", "max", "attention"])
def test_graphs_of_one_node_train_without_nan(tmp_path, readout):
    path = write_molecules(tmp_path / "zinc.npz", sizes=(12, 3, 3))
    data = small_graph_set("zinc", path=str(path), batch_size=12)
    assert data.set.num_nodes.min() == 1 and data.set.num_edges.min() == 0
    for layer in LAYERS:
        task = small_graph_net(data, layer=layer, readout=readout, norm="layer")
        loss = task.train().training_step(data.train_batch(0), 0)["loss"]
        loss.backward()
        values = [loss, *(p.grad for p in task.parameters() if p.grad is not None)]
        assert all(value.isfinite().all() for value in values), layer


def test_the_graph_moves_to_a_device_once():
    """The graph moves once, as plain tensors even if a validation moves it first. `meta` stands for a GPU."""
    meta, data = torch.device("meta"), small_graph()
    with torch.inference_mode():
        first = data.transfer_batch_to_device(next(iter(data.val_dataloader())), meta, 0)
    second = data.transfer_batch_to_device(data.train_batch(0), meta, 0)
    assert first.graphs is second.graphs and second.graphs.device == meta == second.targets.device
    assert not second.graphs.ndata["features"].is_inference()
    assert second.index.device == meta and second.weight == 1.0 and len(second) == 24
    assert data.graph.device.type == "cpu"
    here = data.transfer_batch_to_device(data.train_batch(0), torch.device("cpu"), 0)
    assert here.graphs is data.graph


def test_what_is_evaluated_in_chunks_stays_where_it_is():
    meta, data = torch.device("meta"), small_graph(evaluation_chunk=7)
    moved = data.transfer_batch_to_device(next(iter(data.val_dataloader())), meta, 0)
    assert moved.graphs is data.graph and moved.chunk == 7 and moved.targets.device == meta


def test_blocks_move_to_a_device_with_their_batch():
    meta, data = torch.device("meta"), DATA["sampled"]()
    moved = data.transfer_batch_to_device(data.train_batch(0), meta, 0)
    assert {block.device for block in moved.graphs} == {meta} and moved.graphs[0].ndata["features"].device == meta


@pytest.mark.slow
def test_build_data_is_the_configuration(tiny_graph, tiny_graphs):
    node = build_data(tiny_graph("data.fanouts=[3,3]").data, seed=5)
    assert isinstance(node, NodeDataModule) and (node.seed, node.batch_size, node.batches_per_epoch) == (5, 4, 6)
    many = build_data(tiny_graphs("data.fold=2", "data.positional={kind:laplacian,size:2}").data, seed=6)
    assert isinstance(many, GraphSetDataModule) and (many.seed, many.batch_size, many.batches_per_epoch) == (6, 4, 7)
    assert torch.equal(many.splits["test"], small_graph_set(fold=2).splits["test"])
    assert many.spec["positional"] == "laplacian"
