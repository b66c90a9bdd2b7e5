"""Hold what a user asks of the reading of a graph of her own, whatever its format."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """Keys of `data` that say how files are read; a reader takes those that it has a use for, and refuses others.

    Attributes:
        undirected: add the missing direction of every edge.
        repeated_edges: "merge": edges between the same two nodes are one; "keep": each counts.
    """

    undirected: bool = True
    repeated_edges: str = "merge"


PLAIN = Reading()  # nothing is asked for
