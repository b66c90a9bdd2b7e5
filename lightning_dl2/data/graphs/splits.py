"""Split labelled nodes or graphs into training, validation and test.

Shapes: G items, M of them chosen.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.graph_sets import GraphSet, NodeSet
from lightning_dl2.data.graphs.columns import as_tensor
from lightning_dl2.data.graphs.libraries import GraphParts
from lightning_dl2.data.splits import SPLITS

MASKS = {split: f"{split}_mask" for split in SPLITS}  # DGL's and PyG's usual names
FOLD_SEED = 20201  # the folds are the same for every seed of a run


def node_splits(
    nodes: NodeSet,
    split: str,
    seed: int,
    *,
    train_per_class: int,
    validation_size: int,
    test_size: int | None,
    sizes: Sequence[float] | None = None,
) -> dict[str, Tensor]:
    """Return the numbers of the nodes of each split.

    A random split of nodes without classes, with numbers or several labels, has `validation_size` nodes that validate,
    `test_size` (None: as many) that test, and trains on all others whose target is known.

    Args:
        sizes: of train, val and test, in place of the others: shares of the labelled nodes, or numbers of them.

    Raises:
        UserError: the source has no split, or too few labelled nodes for this one.
    """
    if split == "public":
        if nodes.splits is None:
            raise UserError(
                "data.split=public: these data have no split of their own; allowed: random, such as with"
                " data.split_sizes=[0.6,0.2,0.2]"
            )
        return nodes.splits
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(nodes.num_nodes, generator=generator)
    order = order[nodes.known()[order]]
    if sizes is not None:
        return _sized_split(order, sizes)
    if nodes.target != "classification":
        return _split_by_sizes(order, validation_size, validation_size if test_size is None else test_size)
    labels = nodes.labels[order]
    train = torch.zeros(len(order), dtype=torch.bool)
    for number, name in enumerate(nodes.class_names):
        members = (labels == number).nonzero().squeeze(1)
        if len(members) <= train_per_class:
            raise UserError(
                f"data.train_per_class={train_per_class}: class {name} has {len(members)} nodes; allowed: at most"
                f" {max(len(members) - 1, 0)}"
            )
        train[members[:train_per_class]] = True
    rest = order[~train]
    needed = validation_size + (test_size or 1)
    if len(rest) < needed:
        raise UserError(
            f"data.validation_size={validation_size}: with data.test_size={test_size or 'null'} the split needs"
            f" {needed} nodes beside the training nodes, there are {len(rest)}; fix: lower one of them"
        )
    end = len(rest) if test_size is None else validation_size + test_size
    found = {"train": order[train], "val": rest[:validation_size], "test": rest[validation_size:end]}
    return {name: index.sort().values for name, index in found.items()}


def _split_by_sizes(order: Tensor, validation_size: int, test_size: int) -> dict[str, Tensor]:
    held_out = validation_size + test_size
    if len(order) <= held_out:
        raise UserError(
            f"data.validation_size={validation_size}: with {test_size} test nodes none of {len(order)} with a target is"
            " left to train on; fix: lower data.validation_size or data.test_size"
        )
    sizes = [validation_size, test_size, len(order) - held_out]
    found = dict(zip(("val", "test", "train"), order.split(sizes), strict=True))
    return {name: found[name].sort().values for name in SPLITS}


def _sized_split(order: Tensor, sizes: Sequence[float]) -> dict[str, Tensor]:
    """Cut labelled nodes in a random order into three splits; with shares whose sum is 1 nothing is left."""
    count = len(order)
    shares = all(size < 1 for size in sizes)
    ends = np.cumsum(sizes) * count if shares else np.cumsum(sizes)
    cuts = [0, *(round(float(end)) for end in ends)]
    lengths = np.diff(cuts)
    if cuts[-1] > count or lengths.min() < 1:
        shown = [size if shares else int(size) for size in sizes]
        raise UserError(
            f"data.split_sizes={shown}: of {count} labelled nodes these are {', '.join(map(str, lengths))};"
            " allowed: at least one in each split, and not more than there are"
        )
    return {name: order[cuts[place] : cuts[place + 1]].sort().values for place, name in enumerate(SPLITS)}


def graph_splits(graphs: GraphSet, num_folds: int, fold: int, validation_fraction: float) -> dict[str, Tensor]:
    """Return the numbers of the graphs of each split: the source's split, else fold number `fold` tests.

    The folds are the source's if it has some.

    Raises:
        UserError: too many folds, or an empty split.
    """
    count = len(graphs)
    if graphs.splits is not None:
        return graphs.splits
    labels = graphs.labels
    if graphs.level == "node" or graphs.target != "classification":
        labels = torch.zeros(count, dtype=torch.int64)
    if graphs.folds is not None:
        if num_folds != len(graphs.folds) or fold >= num_folds:
            raise UserError(f"data.num_folds={num_folds}: allowed: {len(graphs.folds)}, as the files have")
        rest, test = graphs.folds[fold]
        if graphs.validation is not None:
            val = graphs.validation[fold]
            found = {"train": rest[~torch.isin(rest, val)], "val": val, "test": test}
            return {name: index.sort().values for name, index in found.items()}
    else:
        known = graphs.known_graphs().nonzero().squeeze(1)  # a graph without a target is in no split
        if num_folds > len(known):
            what = f"{len(known)} graphs" + (" with a target" if len(known) < count else "")
            raise UserError(f"data.num_folds={num_folds}: there are {what}; allowed: at most {len(known)}")
        folds = [known[fold] for fold in stratified_folds(labels[known], num_folds, FOLD_SEED)]
        test = folds[fold]
        rest = torch.cat([part for number, part in enumerate(folds) if number != fold])
    train, val = stratified_split(rest, labels, validation_fraction, FOLD_SEED)
    if not (len(train) and len(val)):
        none, other = ("val", "larger") if len(train) else ("train", "smaller")
        raise UserError(
            f"data.validation_fraction={validation_fraction}: of {len(rest)} graphs none is in the split {none};"
            f" fix: give a {other} fraction, or more graphs"
        )
    return {"train": train.sort().values, "val": val.sort().values, "test": test.sort().values}


def stratified_folds(labels: Tensor, num_folds: int, seed: int) -> list[Tensor]:
    """Divide items with labels int64 [G] into folds; return the numbers of the items of each, in ascending order.

    For each class, and for all items, the numbers in two folds differ by at most one.
    """
    # The items are dealt out to the folds in turn, class after class.
    order = _by_class(labels.numpy(), seed)
    return [torch.from_numpy(np.sort(order[fold::num_folds])) for fold in range(num_folds)]


def stratified_split(index: Tensor, labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Divide the items `index`, int64 [M], into the rest and the held-out ones, both in ascending order.

    Args:
        index: numbers of items, each once.
        labels: int64 [G], of all items.
        fraction: round(fraction * M) items are held out; of each class its share, up to one item.
        seed: of the division.
    """
    items = index.numpy()
    order = _by_class(labels.numpy()[items], seed)
    wanted = round(fraction * len(items))
    # Held-out items are spread as evenly as possible over the items sorted by class.
    marks = np.arange(len(items) + 1) * wanted // max(len(items), 1)
    held = np.zeros(len(items), bool)
    held[order] = np.diff(marks) > 0
    return torch.from_numpy(np.sort(items[~held])), torch.from_numpy(np.sort(items[held]))


def _by_class(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return the items' numbers, class after class, shuffled within each, int64."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    return shuffled[np.argsort(labels[shuffled], kind="stable")]


def read_splits(splits: Mapping[str, Any] | None, count: int, source: str) -> dict[str, Tensor] | None:
    """Return the numbers of the items of each split from masks or numbers."""
    if splits is None:
        return None
    if set(splits) != set(SPLITS):
        raise UserError(f"{source}: splits={', '.join(splits)}; allowed: all of {', '.join(SPLITS)}")
    found = {}
    for name in SPLITS:
        index = as_tensor(splits[name], f"{source}: the split {name}")
        if index.dtype == torch.bool:
            if index.shape != (count,):
                raise UserError(
                    f"{source}: the mask of {name} is {list(index.shape)}; allowed: [{count}]; fix: choose a column"
                )
            index = index.nonzero().squeeze(1)
        if index.ndim != 1 or index.is_floating_point() or not len(index):
            what = f"{index.dtype} {list(index.shape)}"
            raise UserError(f"{source}: the split {name} is {what}; allowed: a mask or numbers, at least one")
        found[name] = index.long()
    return found


def read_node_splits(graph: GraphParts, splits: Mapping[str, Any] | None, used: set[str]) -> dict[str, Tensor] | None:
    """Return the splits by their masks, given or by their names in the graph; None: the graph has no mask."""
    given = dict(MASKS if splits is None else splits)
    named = {split: name for split, name in given.items() if isinstance(name, str)}
    used |= set(named.values())
    lacking = [name for name in named.values() if name not in graph.nodes]
    if splits is None and len(lacking) == len(named):
        return None
    if lacking:
        raise UserError(f"graph: has no {lacking[0]}; allowed: all three masks, or none and split='random'")
    masks = {split: graph.nodes[name] for split, name in named.items()}
    return read_splits({**given, **masks}, graph.num_nodes, "graph")
