"""Build pairs of graphs that refinements of colours cannot tell apart."""

from pathlib import Path

import networkx as nx
import numpy as np
import torch

from lightning_dl2.data.graph_files.brec import PARTS
from lightning_dl2.graphs import Graph


def graph_of(found: nx.Graph) -> Graph:
    """Convert an undirected graph whose nodes may have any names."""
    ends = torch.tensor(list(nx.convert_node_labels_to_integers(found).edges())).reshape(-1, 2)
    src, dst = torch.cat([ends, ends.flip(1)]).T
    return Graph(src.contiguous(), dst.contiguous(), found.number_of_nodes())


def hexagon_and_triangles() -> tuple[nx.Graph, nx.Graph]:
    """Return two graphs of six nodes of degree 2: 1-WL gives all nodes one colour, 3-WL sees the triangles."""
    return nx.cycle_graph(6), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))


def rook_and_shrikhande() -> tuple[nx.Graph, nx.Graph]:
    """Return the strongly regular graphs of 16 nodes, degree 6: 3-WL cannot tell them apart (Arvind et al. 2020)."""
    rook = nx.line_graph(nx.complete_bipartite_graph(4, 4))
    steps = [(0, 1), (1, 0), (1, 1)]
    places = [(row, column) for row in range(4) for column in range(4)]
    edges = [((r, c), ((r + down) % 4, (c + right) % 4)) for r, c in places for down, right in steps]
    return rook, nx.Graph(edges)


def write_brec(directory: Path) -> Path:
    """Write a pair of each part as the public files have it: text or bytes, in one or two columns."""
    directory.mkdir()
    for number, (file, _) in enumerate(PARTS.values()):
        pair = rook_and_shrikhande() if "str" in file else hexagon_and_triangles()
        codes = [nx.to_graph6_bytes(graph, header=False).strip() for graph in pair]
        codes = codes if number % 2 else [code.decode() for code in codes]
        np.save(directory / file, np.array(codes).reshape((1, 2) if number % 3 else -1))
    return directory
