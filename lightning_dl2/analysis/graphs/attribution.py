"""Attribute one answer of a graph network to the features of nodes and to edges, by integrated gradients.

The line of integration leads from the same graph without any message and with zeros as features to the graph as it is.
The message of an edge is multiplied by a mask (`Graph.edge_mask`); degrees and softmax weights stay those of the graph.

Shapes: N nodes and E edges of the part of the graph that the answer depends on, F columns of features.
"""

import csv
from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_dl2.analysis.graphs.integrated_gradients import Attributions, integrate_gradients
from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.data.graphs.links.pair_data_module import PairDataModule
from lightning_dl2.graphs import Graph, SparseMatrix
from lightning_dl2.nets import GraphNetwork
from lightning_dl2.nets.graph.pair_network import PairNetwork

SAME = 1e-4  # two orders of the same sums differ less, relative to the answer


class Explanation(NamedTuple):
    """The attributions of one answer.

    Attributes:
        nodes: N names.
        centres: the node that the answer is of, or both of a pair; none if it is of a graph.
        columns: F names; the embedding of a node's type counts as one.
        values: of the features, [N, F].
        features: attributions [N, F]; of the node's type in the column "type".
        src, dst: int64 [E], without self-loops that the net adds.
        edges: attributions [E].
        reads_edges: whether the mask reaches the layers; False for those of DGL and PyG.
        found: the sums.
    """

    nodes: list[str]
    centres: list[int]
    columns: list[str]
    values: Tensor
    features: Tensor
    src: Tensor
    dst: Tensor
    edges: Tensor
    reads_edges: bool
    found: Attributions

    @property
    def centre_names(self) -> list[str]:
        """Return the names of the centres."""
        return [self.nodes[centre] for centre in self.centres]


def find_item(data: Any, item: str) -> int:
    """Return the number of a node or graph by its name; a pair of nodes, SRC,DST, becomes the only item of the data.

    Raises:
        UserError: there is no such one.
    """
    if isinstance(data, PairDataModule):
        data.ask(_find_pair(data, item))
        return 0
    names = data.names(torch.arange(len(data.labels)))
    if item not in names:
        raise UserError(f"item={item}: the data have no {data.level} of this name; {nearest(item, names)}")
    return names.index(item)


def _find_pair(data: PairDataModule, item: str) -> Tensor:
    """Return the numbers of two nodes, [1, 2], by their names, as a CSV file has them."""
    ends = next(csv.reader([item], skipinitialspace=True))
    names = data.all_names
    if len(ends) != 2 or ends[0] == ends[1]:
        raise UserError(f"item={item}: is no pair; allowed: two nodes SRC,DST, as predict writes them")
    for name in ends:
        if name not in names:
            raise UserError(f"item={item}: the data have no node {name!r}; {nearest(name, names)}")
    return torch.tensor([[names.index(name) for name in ends]])


def explain(task: Any, data: Any, number: int, output: int, tolerance: float = 1e-4, limit: int = 2000) -> Explanation:
    """Explain output number `output` of a task for one item: a class's logit, or a number in the unit of its target.

    Of a link it is the logit of an edge.

    Args:
        task: a graph_net.
        data: its data module.
        number: of the item.
        output: of the net's outputs.
        tolerance, limit: see `integrate_gradients`.
    """
    batch = data.alone(number)
    answer = _Answer(task)
    whole = answer.graph(batch.graphs)
    centres = [] if batch.index is None else batch.index.flatten().tolist()
    part, nodes = whole, torch.arange(whole.num_nodes)
    if centres:
        near, members = _neighbourhood(whole, centres, task.net)
        first = list(range(len(centres)))
        found, wanted = (answer(graph, at)[output] for graph, at in ((near, first), (whole, centres)))
        if torch.allclose(found, wanted, rtol=SAME, atol=SAME):  # a layer of one's own may look further
            part, nodes, centres = near, members, first
    inputs, function, masked = _inputs(answer, part, centres, output)
    attributions = integrate_gradients(function, inputs, tolerance, limit)
    ones = [x.clone().requires_grad_() for x in inputs]
    slope = torch.autograd.grad(function(*ones), ones, allow_unused=True)[-1]
    columns, values, features = _columns(data, part, attributions.values[:-1])
    names = _names(data, nodes)
    ends = part.src[masked], part.dst[masked]
    return Explanation(
        names, centres, columns, values, features, *ends, attributions.values[-1], slope is not None, attributions
    )


class _Answer:
    """Compute the outputs of a task's net in float64, by torch."""

    def __init__(self, task: Any) -> None:
        self.net: GraphNetwork = deepcopy(task.net).double().cpu().eval()
        self.net.engine, self.net.takes_lookup = "torch", False
        self._prepare = self.net.prepare
        setattr(self.net, "prepare", lambda graph: graph)  # noqa: B010 - weights must be normalised once only
        self.task = task
        self.given: Tensor | None = None  # replaces the embedding of the types
        if self.net.inputs.types is not None:
            self.net.inputs.types.register_forward_hook(self._replace)

    def _replace(self, module: Any, inputs: Any, output: Tensor) -> Tensor:
        return output if self.given is None else self.given

    def graph(self, graph: Graph) -> Graph:
        """Return the graph as the net computes with it: with self-loops, dense and in float64."""
        graph = self._prepare(graph.to("cpu"))
        ndata = {
            name: x.to_dense().double() if isinstance(x, SparseMatrix) else x.double() if x.is_floating_point() else x
            for name, x in graph.ndata.items()
        }
        edata = {name: x.double() if x.is_floating_point() else x for name, x in graph.edata.items()}
        return graph.replace(ndata=ndata, edata=edata)

    def __call__(self, graph: Graph, at: list[int]) -> Tensor:
        """Return the outputs of a node, a pair, or the graph: logits, or numbers in the unit of the targets."""
        outputs = self.net(graph)
        if isinstance(self.net, PairNetwork):
            outputs = self.net.decode(outputs, torch.tensor([at]))
            at = []
        outputs = outputs[at[0] if at else 0]
        if self.task.spec["target"] != "regression":
            return outputs
        return self.task.targets.predicted(self.task.targets.shaped(outputs.unsqueeze(0))).flatten()


def _neighbourhood(graph: Graph, centres: list[int], net: GraphNetwork) -> tuple[Graph, Tensor]:
    """Cut out what some nodes read in L layers; these come first. Degrees stay those of the whole graph."""
    inside = torch.zeros(graph.num_nodes, dtype=torch.bool)
    first = torch.tensor(centres)
    inside[first] = True
    reading = torch.zeros(graph.num_edges, dtype=torch.bool)
    for _ in range(net.num_layers):
        reading |= inside[graph.dst]
        inside[graph.src[reading]] = True
    nodes = inside.nonzero().squeeze(1)
    nodes = torch.cat([first, nodes[~torch.isin(nodes, first)]])
    if graph.has_added_self_loops:  # exactly one each, also at the border
        reading |= (graph.src == graph.dst) & inside[graph.dst]
    new = torch.empty(graph.num_nodes, dtype=torch.int64)
    new[nodes] = torch.arange(len(nodes))
    part = Graph(
        new[graph.src[reading]],
        new[graph.dst[reading]],
        len(nodes),
        ndata={name: x[nodes] for name, x in graph.ndata.items()},  # type: ignore[index]  # dense
        edata={name: x[reading] for name, x in graph.edata.items()},
        full_degrees=(graph.out_degrees[nodes], graph.in_degrees[nodes]),
    )
    part.has_added_self_loops = graph.has_added_self_loops
    return part, nodes


def _inputs(
    answer: _Answer, graph: Graph, centres: list[int], output: int
) -> tuple[list[Tensor], Callable[..., Tensor], Tensor]:
    """Return the inputs, the answer as a function of them, and the numbers of the edges with a mask.

    The inputs are the features, the types' embedding and the positions, as far as there are such, and the edges' mask.
    """
    real = torch.arange(graph.num_edges)
    if graph.has_added_self_loops:
        real = (graph.src != graph.dst).nonzero().squeeze(1)
    names = [name for name in ("features", "types", "positional") if name in graph.ndata]
    embed: Any = answer.net.inputs.types
    inputs = [embed(graph.ndata["types"]).detach() if name == "types" else graph.ndata[name] for name in names]
    inputs.append(torch.ones(len(real), dtype=torch.float64))

    def function(*given: Tensor) -> Tensor:
        *data, mask = given
        ndata = dict(graph.ndata)
        for name, x in zip(names, data, strict=True):
            if name == "types":
                answer.given = x
            else:
                ndata[name] = x
        here = graph.replace(ndata=ndata)
        here.edge_mask = torch.ones(graph.num_edges, dtype=torch.float64).index_copy(0, real, mask)
        try:
            return answer(here, centres)[output]
        finally:
            answer.given = None

    return [x.detach() for x in inputs], function, real  # type: ignore[union-attr]  # dense


def _columns(data: Any, graph: Graph, attributions: list[Tensor]) -> tuple[list[str], Tensor, Tensor]:
    """Return names [F], values [N, F] and attributions [N, F] of the nodes' inputs."""
    names: list[str] = []
    values, found = [], []
    given = [name for name in ("features", "types", "positional") if name in graph.ndata]
    for name, each in zip(given, attributions, strict=True):
        x: Any = graph.ndata[name]
        if name == "types":
            names.append("type")
            values.append(x.double().unsqueeze(1))
            found.append(each.sum(1, keepdim=True))
            continue
        known = getattr(data.set, "feature_names", None) if name == "features" else None
        word = "feature" if name == "features" else "position"
        names += known if known and len(known) == x.shape[1] else [f"{word} {number}" for number in range(x.shape[1])]
        values.append(x)
        found.append(each)
    return names, torch.cat(values, 1), torch.cat(found, 1)


def _names(data: Any, nodes: Tensor) -> list[str]:
    """Name the nodes: of one graph as the data do, in a set of graphs by their numbers."""
    return data.names(nodes) if hasattr(data, "graph") else [str(node) for node in nodes.tolist()]
