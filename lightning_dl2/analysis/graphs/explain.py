"""Explain one answer of a graph network: how much each feature and each edge adds to it.

    python -m lightning_dl2.analyze explain run=DIR item=ID [target=NAME] [data.path=PATH] [top=10]

Integrated gradients from the graph without messages and features to the graph as it is. All attributions add up to the
difference of the answer between both. features.csv and edges.csv have those that are not 0, largest first, and
totals.csv the sum of each feature over the nodes; explanation.png draws them.

Keys: run, a directory of a run of a graph_net; item, the name of a node or graph, as `predict` writes it, or any two
nodes SRC,DST where pairs are predicted; target, the class, label or number to explain (auto: the class that the net
answers, or that there is a link); data.path, another graph; top, bars and rows shown; shown_nodes, drawn at most;
tolerance, of the sum, after at most `limit` gradients.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from rich.table import Table
from torch import Tensor

from lightning_dl2.analysis.arguments import NO_RUN, RunArguments
from lightning_dl2.analysis.figure_directory import run_name
from lightning_dl2.common.arguments import Text, whole
from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.common.figures import write_csv
from lightning_dl2.run.directory import Run
from lightning_dl2.training.open_run import open_finished_run, with_data_path

COMPARES_RUNS = False
NO_ITEM, AUTO = "none", "auto"


class Arguments(RunArguments):
    item: Text = NO_ITEM
    target: Text = AUTO
    data_path: Text | None = Field(None, alias="data.path")
    top: Annotated[int, whole(1, 100)] = 10
    shown_nodes: Annotated[int, whole(2, 1000)] = 30
    tolerance: float = Field(1e-4, gt=0)
    limit: Annotated[int, whole(1)] = 2000


def analyze(out: Path, arguments: Arguments) -> Table:
    """Explain an answer of the run, write the attributions and draw them.

    Raises:
        UserError: no run or item is named, the run has no graph network, or there is no such item or target.
    """
    if arguments.run == NO_RUN:
        raise UserError("run=none: explain needs a trained net; fix: give run=DIR of a graph_net")
    if arguments.item == NO_ITEM:
        raise UserError("item=none: nothing is to be explained; fix: give item=ID or SRC,DST, as predict writes it")
    run = Run.existing(arguments.run)
    config = with_data_path(run.config(), arguments.data_path)
    others = arguments.data_path is not None
    with open_finished_run(run, config, arguments.checkpoint, others) as (task, data, _):
        from lightning_dl2.analysis.graphs.attribution import explain, find_item
        from lightning_dl2.analysis.graphs.explain_figure import draw
        from lightning_dl2.nets import GraphNetwork

        if not isinstance(getattr(task, "net", None), GraphNetwork):
            raise UserError(f"run={run.path}: is of a {config.task.title}; allowed: a run of a graph_net")
        number = find_item(data, arguments.item)
        output, name, answers = _output(task, data, number, arguments.target)
        found = explain(task, data, number, output, arguments.tolerance, arguments.limit)
    if not found.reads_edges:
        print(f"note: a layer {task.net.layer} tells nothing of single edges; features alone", file=sys.stderr)
    title = f"{run_name(run.config())}: {name} of {arguments.item}"
    _write(out, found)
    draw(found, arguments.top, arguments.shown_nodes, title, out / "explanation.png")
    return _table(found, arguments.top, {"item": arguments.item, "explained": name} | answers)


def _output(task: Any, data: Any, number: int, target: str) -> tuple[int, str, dict[str, str]]:
    """Return the number and name of the net's output to explain, and the answer of the net.

    Raises:
        UserError: there is no such target.
    """
    import torch

    names = data.class_names or getattr(data, "target_names", [])
    with torch.no_grad():
        _, _, outputs = task.cpu().eval().predict_step(data.alone(number), 0)
    values = outputs[0].reshape(-1).tolist()
    if not names:
        if target != AUTO:
            raise UserError(f"target={target}: the net answers one number; allowed: auto")
        if getattr(data, "target", None) == "link":
            return 0, "the logit of an edge", {"answer": f"p = {values[0]:.4f}"}
        return 0, "the number", {"answer": f"{values[0]:.6g}"}
    if target != AUTO and target not in names:
        raise UserError(f"target={target}: {nearest(target, names)}")
    if target == AUTO and not data.class_names and len(names) > 1:
        raise UserError(f"target=auto: the net answers several numbers or labels; allowed: {', '.join(names)}")
    best = values.index(max(values))
    output = best if target == AUTO else names.index(target)
    if not data.class_names:
        return output, names[output], {"answer": f"{values[output]:.6g}"}
    answers = {"answer": f"{names[best]} (p = {values[best]:.4f})"}
    return output, f"the logit of {names[output]}", answers


def _ranked(values: Tensor) -> list[int]:
    """Return the numbers of the values that are not 0, the largest by size first."""
    order = values.abs().argsort(descending=True, stable=True)
    return order[values[order] != 0].tolist()


def _write(out: Path, found: Any) -> None:
    width = len(found.columns)
    flat, values = found.features.flatten(), found.values.flatten()
    rows = [
        (found.nodes[place // width], found.columns[place % width], values[place].item(), flat[place].item())
        for place in _ranked(flat)
    ]
    write_csv(out / "features.csv", ("node", "feature", "value", "attribution"), rows)
    edges = [
        (found.nodes[found.src[edge]], found.nodes[found.dst[edge]], found.edges[edge].item())
        for edge in _ranked(found.edges)
    ]
    write_csv(out / "edges.csv", ("src", "dst", "attribution"), edges)
    totals = found.features.sum(0)
    named = [(found.columns[place], totals[place].item()) for place in _ranked(totals)]
    write_csv(out / "totals.csv", ("feature", "attribution"), named)


def _table(found: Any, top: int, answers: dict[str, str]) -> Table:
    sums = found.found
    table = Table("what", "found")
    for key, value in answers.items():
        table.add_row(key, value)
    table.add_row("value, and without messages and features", f"{sums.answer:.6g}, {sums.baseline:.6g}")
    features, edges = float(found.features.sum()), float(found.edges.sum())
    table.add_row("sum of features, of edges", f"{features:.6g}, {edges:.6g}")
    table.add_row("sum of all less the difference", f"{sums.residual:.1e} (of {sums.evaluations} gradients)")
    table.add_row("nodes and edges that the answer depends on", f"{len(found.nodes)}, {len(found.src)}")
    totals = found.features.sum(0)
    for place in _ranked(totals)[:top]:
        table.add_row(f"all nodes: {found.columns[place]}", f"{totals[place].item():+.4g}")
    for edge in _ranked(found.edges)[:top]:
        ends = f"{found.nodes[found.src[edge]]} -> {found.nodes[found.dst[edge]]}"
        table.add_row(f"edge {ends}", f"{found.edges[edge].item():+.4g}")
    return table
