"""Hold what a user asks of the reading of a graph of her own, whatever its format."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """Keys of `data` that say how files are read; a reader takes those that it has a use for, and refuses others.

    Attributes:
        undirected: add the missing direction of every edge.
        repeated_edges: "merge": edges between the same two nodes are one; "keep": each counts.
        label: name of the labels; None: the usual one.
        split_index: number of the split, from 0, where the files have several.
    """

    undirected: bool = True
    repeated_edges: str = "merge"
    label: str | None = None
    split_index: int = 0


PLAIN = Reading()  # nothing is asked for
