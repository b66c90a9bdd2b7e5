"""Count the updates until an impulse on one node reaches another, and draw its spread.

Shapes: N nodes, E edges, K updates.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_dl2.common.figures import COLOURS, SEQUENTIAL, new_figure, save, write_csv
from lightning_dl2.graphs import Graph

SIX_NODES = ("AB", "AE", "AF", "BD", "CD", "DF")
NAMES = "ABCDEF"
PLACES = {"A": (2, 1), "B": (1, 2), "C": (-1, 1), "D": (0, 1), "E": (3, 1), "F": (1, 0)}
UPDATES = 8


def build_six_nodes() -> Graph:
    """Build the course's undirected graph of nodes A to F with the edges AB AE AF BD CD DF."""
    one, other = torch.tensor([[NAMES.index(name) for name in edge] for edge in SIX_NODES]).t()
    return Graph(torch.cat([one, other]), torch.cat([other, one]), len(NAMES))


def normalized_adjacency(graph: Graph) -> Tensor:
    """Return A_hat = D^-1/2 (A + I) D^-1/2, float64 [N, N]; D is the degree with the self-loop (Kipf & Welling)."""
    return graph.with_self_loops().normalized_adjacency(torch.float64).to_dense()


def find_arrivals(graph: Graph, source: int) -> Tensor:
    """Return the number of updates until `source` reaches each node, int64 [N]; -1 if it never does.

    For node v this is the smallest k with a nonzero in row v, column `source`, of the k-th power of the adjacency: a
    layer of a graph network passes messages once along each edge.
    """
    adjacency = graph.adjacency(torch.float64)
    arrival = torch.full((graph.num_nodes,), -1)
    arrival[source] = 0
    front, update = arrival == 0, 0
    while front.any():
        update += 1
        front = (adjacency @ front.double()[:, None])[:, 0].gt(0) & (arrival < 0)
        arrival[front] = update
    return arrival


def count_updates(graph: Graph, source: int, target: int) -> int:
    """Return the number of updates until `source` reaches `target`.

    Raises:
        ValueError: no path leads from `source` to `target`.
    """
    updates = int(find_arrivals(graph, source)[target])
    if updates < 0:
        raise ValueError(f"no path leads from node {source} to node {target}")
    return updates


def impulse(graph: Graph, source: int, updates: int) -> Tensor:
    """Apply K graph convolutions without weights to 1 at `source` and 0 elsewhere; return all states, [K + 1, N].

    Row k is column `source` of A_hat^k, in float64.
    """
    adjacency = graph.with_self_loops().normalized_adjacency(torch.float64)
    states = [torch.zeros(graph.num_nodes, 1, dtype=torch.float64)]
    states[0][source] = 1
    for _ in range(updates):
        states.append(adjacency @ states[-1])
    return torch.cat(states, 1).t()


def write(out: Path, source: str = "C", target: str = "E") -> list[tuple[str, str]]:
    """Write `spreading.png`, `spreading.csv` and `adjacency.csv` of the six nodes; return rows of the table."""
    graph, start = build_six_nodes(), NAMES.index(source)
    arrival, states, matrix = find_arrivals(graph, start), impulse(graph, start, UPDATES), normalized_adjacency(graph)
    write_csv(
        out / "adjacency.csv", ("to", *NAMES), [(name, *row) for name, row in zip(NAMES, matrix.tolist(), strict=True)]
    )
    write_csv(out / "spreading.csv", ("update", *NAMES), [(k, *row) for k, row in enumerate(states.tolist())])
    figure = new_figure(3, width=4.4, height=4.0)
    left, middle, right = figure.subplots(1, 3)
    _draw_graph(left, arrival, source)
    _draw_numbers(middle, matrix)
    middle.set(title="normalised adjacency", xlabel="from node", ylabel="to node")
    middle.set_yticks(range(len(NAMES)), NAMES)
    image = _draw_numbers(right, states)
    right.set(title=f"an impulse on {source}", xlabel="node", ylabel="updates")
    figure.colorbar(image, ax=(middle, right), label="value", extend="max")
    save(figure, out / "spreading.png")
    return [(f"updates until {source} reaches {target}", str(count_updates(graph, start, NAMES.index(target))))]


def _draw_graph(axes: Any, arrival: Tensor, source: str) -> None:
    for one, other in map(tuple, SIX_NODES):
        axes.plot(*zip(PLACES[one], PLACES[other], strict=True), color=COLOURS[-1], linewidth=1, zorder=1)
    for name, updates in zip(NAMES, arrival.tolist(), strict=True):
        axes.scatter(*PLACES[name], s=900, color=COLOURS[updates], zorder=2)
        axes.annotate(name, PLACES[name], ha="center", va="center", color="white", weight="bold")
        x, y = PLACES[name]
        axes.annotate(str(updates), (x, y - 0.6), ha="center", va="center")
    axes.set(title=f"updates until {source} is heard of", xlim=(-1.6, 3.6), ylim=(-0.8, 2.6), aspect="equal")
    axes.set_axis_off()


def _draw_numbers(axes: Any, values: Tensor) -> Any:
    """Draw a map with its numbers; an exact 0 stays empty."""
    shown = values.masked_fill(values == 0, torch.nan)
    image = axes.imshow(shown, cmap=SEQUENTIAL, vmin=0, vmax=0.5, aspect="auto")
    for row, column in values.nonzero().tolist():
        value = values[row, column].item()
        colour = "black" if value > 0.2 else "white"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize="small", color=colour)
    axes.set_xticks(range(len(NAMES)), NAMES)
    return image
