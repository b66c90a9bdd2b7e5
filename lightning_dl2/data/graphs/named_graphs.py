"""Edges of named graphs, each in one direction.

Shapes: n nodes, m edges.
"""

import numpy as np

# Zachary (1977), An Information Flow Model for Conflict and Fission in Small Groups: members who met outside the club.
# Members are numbered from 0; member 0 is Mr. Hi, the instructor, member 33 the officer.
KARATE_CLUB = (
    "0-1 0-2 0-3 0-4 0-5 0-6 0-7 0-8 0-10 0-11 0-12 0-13 0-17 0-19 0-21 0-31 1-2 1-3 1-7 1-13 1-17 1-19 1-21 1-30 "
    "2-3 2-7 2-8 2-9 2-13 2-27 2-28 2-32 3-7 3-12 3-13 4-6 4-10 5-6 5-10 5-16 6-16 8-30 8-32 8-33 9-33 13-33 14-32 "
    "14-33 15-32 15-33 18-32 18-33 19-33 20-32 20-33 22-32 22-33 23-25 23-27 23-29 23-32 23-33 24-25 24-27 24-31 "
    "25-31 26-29 26-33 27-33 28-31 28-33 29-32 29-33 30-32 30-33 31-32 31-33 32-33"
)
MR_HI = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 16, 17, 19, 21)  # who followed him when the club split

MINI_GC = ("cycle", "star", "wheel", "lollipop", "hypercube", "grid", "clique", "circular_ladder")


def family_edges(family: str, size: int, part: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the number of nodes and the undirected edges, [m] and [m]. `part`: a lollipop's path or a grid's rows."""
    nodes = np.arange(size)
    if family == "cycle":
        return size, nodes, (nodes + 1) % size
    if family == "star":
        return size, np.zeros(size - 1, np.int64), nodes[1:]
    if family == "wheel":
        rim = np.arange(size - 1)
        return size, np.concatenate([0 * rim, rim + 1]), np.concatenate([rim + 1, (rim + 1) % (size - 1) + 1])
    if family == "clique":
        return size, *np.triu_indices(size, 1)
    if family == "lollipop":
        one, other = np.triu_indices(size - part, 1)
        path = np.arange(size - part - 1, size - 1)
        return size, np.concatenate([one, path]), np.concatenate([other, path + 1])
    if family == "hypercube":
        dimensions = size.bit_length() - 1
        corners = np.arange(1 << dimensions)
        one = np.repeat(corners, dimensions)
        other = one ^ np.tile(1 << np.arange(dimensions), len(corners))
        return len(corners), one[one < other], other[one < other]
    if family == "grid":
        grid = np.arange(part * (size // part)).reshape(part, -1)
        begins, ends = (grid[:, :-1], grid[:-1]), (grid[:, 1:], grid[1:])
        return grid.size, np.concatenate([x.ravel() for x in begins]), np.concatenate([x.ravel() for x in ends])
    assert family == "circular_ladder", family
    half = size // 2
    rung = np.arange(half)
    step = (rung + 1) % half
    return 2 * half, np.concatenate([rung, rung + half, rung]), np.concatenate([step, step + half, rung + half])
