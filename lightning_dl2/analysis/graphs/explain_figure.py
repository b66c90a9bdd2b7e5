"""Draw an explanation: the part of the graph that the answer depends on, and the features as bars."""

from pathlib import Path
from typing import Any

import numpy as np

from lightning_dl2.analysis.graphs.attribution import Explanation
from lightning_dl2.common.figures import COLOURS, DIVERGING, new_figure, plain, save, set_title

LABELLED = 40  # names of so many nodes can be read


def draw(found: Explanation, top: int, shown_nodes: int, title: str, path: Path) -> None:
    """Draw the graph with each edge by its attribution, both directions together, and bars of the top features.

    Args:
        top: number of bars.
        shown_nodes: number of nodes; those at the strongest edges are drawn.
    """
    figure = new_figure(2, width=5.6, height=5.0)
    set_title(figure, title)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_graph(figure, left, found, shown_nodes)
    _draw_bars(right, found, top)
    save(figure, path)


def _draw_graph(figure: Any, axes: Any, found: Explanation, shown_nodes: int) -> None:
    import networkx

    pairs: dict[tuple[int, int], float] = {}
    for one, other, value in zip(found.src.tolist(), found.dst.tolist(), found.edges.tolist(), strict=True):
        key = min(one, other), max(one, other)
        pairs[key] = pairs.get(key, 0.0) + value
    members = dict.fromkeys(found.centres)
    for pair in sorted(pairs, key=lambda pair: -abs(pairs[pair])):
        if len({*members, *pair}) <= shown_nodes:
            members |= dict.fromkeys(pair)
    if not members:
        members = dict.fromkeys(range(min(shown_nodes, len(found.nodes))))
    graph = networkx.Graph()
    graph.add_nodes_from(members)
    weakest_first = sorted(pairs, key=lambda pair: abs(pairs[pair]))  # the strong ones are drawn above
    graph.add_edges_from(pair for pair in weakest_first if {*pair} <= {*members} and pair[0] != pair[1])
    places = networkx.kamada_kawai_layout(graph) if len(graph) <= 200 else networkx.spring_layout(graph, seed=0)
    drawn = [pair for pair in weakest_first if graph.has_edge(*pair)]
    values = np.array([pairs[pair] for pair in drawn])
    largest = max(np.abs(values).max(initial=0.0), 1e-12)
    widths = 0.5 + 5 * np.abs(values) / largest
    nodes = found.features.sum(1).tolist()
    scale = max((abs(nodes[node]) for node in members), default=0.0) or 1.0
    edges = networkx.draw_networkx_edges(
        graph, places, edgelist=drawn, ax=axes, width=widths.tolist(), edge_color=values.tolist(), edge_cmap=_map(),
        edge_vmin=-largest, edge_vmax=largest,
    )  # fmt: skip
    networkx.draw_networkx_nodes(
        graph, places, ax=axes, node_size=[420 if node in found.centres else 180 for node in graph],
        node_color=[nodes[node] for node in graph], cmap=_map(), vmin=-1.6 * scale, vmax=1.6 * scale,
        edgecolors=[COLOURS[-1] if node in found.centres else "#808080" for node in graph],
        linewidths=[2.0 if node in found.centres else 0.6 for node in graph],
    )  # fmt: skip
    if len(graph) <= LABELLED:
        names = {node: plain(found.nodes[node][:12]) for node in graph}
        networkx.draw_networkx_labels(graph, places, names, ax=axes, font_size=7)
    if drawn:
        figure.colorbar(edges, ax=axes, label="attribution of an edge, both directions", shrink=0.7)
    of = "" if len(graph) == len(found.nodes) else f" ({len(graph)} of {len(found.nodes)} nodes)"
    axes.set_title(f"edges by width and colour, nodes by the sum of their features{of}", fontsize="small", wrap=True)
    axes.set_axis_off()


def _map() -> Any:
    from matplotlib import colormaps

    return colormaps[DIVERGING]


def _draw_bars(axes: Any, found: Explanation, top: int) -> None:
    totals = found.features.sum(0)
    order = totals.abs().argsort(descending=True, stable=True)[:top].tolist()[::-1]
    values = [totals[place].item() for place in order]
    colours = [COLOURS[1] if value > 0 else COLOURS[0] for value in values]
    axes.barh([plain(found.columns[place][:24]) for place in order], values, color=colours)
    axes.axvline(0, color=COLOURS[-1], linewidth=0.8)
    axes.locator_params(axis="x", nbins=4)
    axes.set(xlabel="attribution, summed over the nodes", title=f"top {len(order)} of {len(totals)} features")
