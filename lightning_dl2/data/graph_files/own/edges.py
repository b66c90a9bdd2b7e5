"""Complete, merge or keep the edges that a file lists, and tell how many.

Shapes: R rows of a file, E edges of the graph, D features of an edge.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.own.reading import Reading

WAYS = "list it once, use data.repeated_edges=keep, or leave the column out by data.features.edge_columns"


class Arranged(NamedTuple):
    """The edges of a graph, and what was done to those of the file."""

    src: np.ndarray  # int64 [E]
    dst: np.ndarray  # int64 [E]
    rows: np.ndarray  # int64 [E]: the row of the file whose features an edge has
    note: str | None


def arrange_edges(
    src: np.ndarray,
    dst: np.ndarray,
    num_nodes: int,
    values: np.ndarray | None,
    asked: Reading,
    describe: Callable[[int], str],
    ways: str = WAYS,
) -> Arranged:
    """Merge repeated edges or keep them, and add missing directions.

    An edge is repeated if an earlier row leads from the same node to the same one. Edges of both directions are not
    repeated, and may have different features. Rows keep their order, and added directions follow them. With
    `repeated_edges="keep"` both directions of two nodes count as often as the commoner one is listed.

    Args:
        src: int64 [R]; likewise `dst`.
        values: features [R, D] by which repeated edges must agree; None: there are none.
        asked: `undirected` and `repeated_edges`.
        describe: names a row in a message.
        ways: what a message about repeated edges with other features offers.

    Raises:
        UserError: two rows are the same edge with different features, and are to be merged.
    """
    forward, backward = src * num_nodes + dst, dst * num_nodes + src
    rank = _ranks(forward)
    repeated = int((rank > 0).sum())
    told = []
    rows = np.arange(len(src))
    if repeated and asked.repeated_edges == "merge":
        _check_equal(forward, values, describe, ways)
        rows = np.flatnonzero(rank == 0)
        told.append(
            f"{_count(repeated, 'repeated edge')} {_be(repeated)} merged (data.repeated_edges=keep counts each)"
        )
    elif repeated:
        told.append(f"{_count(repeated, 'repeated edge')} {_be(repeated)} counted each time")
    if asked.undirected:
        known, counts = np.unique(forward[rows], return_counts=True)
        place = np.searchsorted(known, backward[rows]).clip(max=max(len(known) - 1, 0))
        listed = np.where(known[place] == backward[rows], counts[place], 0) if len(known) else np.zeros(0, np.int64)
        missing = rows[rank[rows] >= listed]
        if len(missing):
            told.append(f"the reverse of {_count(len(missing), 'edge')} is added (data.undirected=false does not)")
        src, dst = np.concatenate([src[rows], dst[missing]]), np.concatenate([dst[rows], src[missing]])
        rows = np.concatenate([rows, missing])
    else:
        src, dst = src[rows], dst[rows]
    return Arranged(src, dst, rows, "; ".join(told) or None)


def _ranks(keys: np.ndarray) -> np.ndarray:
    """Count for each key how often it stands before: [R] -> int64 [R]."""
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    starts = np.flatnonzero(np.diff(sorted_keys, prepend=sorted_keys[:1] - 1)) if len(keys) else np.zeros(0, np.int64)
    ranks = np.empty(len(keys), np.int64)
    ranks[order] = np.arange(len(keys)) - np.repeat(starts, np.diff(starts, append=len(keys)))
    return ranks


def _check_equal(keys: np.ndarray, values: np.ndarray | None, describe: Callable[[int], str], ways: str) -> None:
    if values is None or not values.shape[1]:
        return
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    before = first[inverse.reshape(-1)]
    if len(bad := np.flatnonzero((values != values[before]).any(1))):
        row = int(bad[0])
        raise UserError(
            f"{describe(row)}: is the same edge as {describe(int(before[row]))}, with other features; fix: {ways}"
        )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _be(number: int) -> str:
    return "is" if number == 1 else "are"
