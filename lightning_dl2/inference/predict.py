"""Predict the target of each node, graph or sequence with a run."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from lightning_dl2.common.errors import UserError
from lightning_dl2.run.directory import Run
from lightning_dl2.training.open_run import open_finished_run, with_data_path

SPLITS = ("train", "val", "test", "rest")


def predict(
    run: str | Run,
    split: str = "auto",
    checkpoint: str = "best",
    data_path: str | None = None,
    *,
    embeddings: str | Path | None = None,
    attention: str | Path | None = None,
    pairs: str | Path | None = None,
) -> list[dict[str, Any]]:
    """Return the predictions of a checkpoint of a run, one row for each item of a split.

    An item is a node, a graph, a sequence, or a pair of nodes.

    Args:
        run: the run directory.
        split: train, val, test, rest (the nodes or graphs in none of them) or all. Generated sequences have no train.
            "auto": test, or all of other graphs.
        checkpoint: best, last, or the name of a file.
        data_path: the path of the run's graphs or sequences, or of other graphs with the same columns; None: as the
            configuration says.
        embeddings: a .npz or .csv file that gets the features that the output layer reads, a row for each prediction.
        attention: likewise, the attention weights of `gat` and `gatv2`, a row for each edge of the graph, or of the
            graphs of the split.
        pairs: of a run of data.level=link or edge, a .csv file of the pairs of nodes to predict, by their names.

    Returns:
        Rows of id, split, target, prediction and `p(CLASS)`, in the order of an evaluation. Generated sequences have
        their input, too. Pairs of nodes have src and dst instead of an id. With targets at marked positions, target and
        prediction list those, without `p(CLASS)`. Of several numbers or labels each has its `target(NAME)` and
        `prediction(NAME)`, and a label its `p(NAME)`.

    Raises:
        UserError: the run is of a task that predicts none of these, or has no such checkpoint, split, embeddings or
            attention.
    """
    _check_split(split, pairs)
    run = run if isinstance(run, Run) else Run.existing(run)
    config = with_data_path(run.config(), data_path)
    if "predict" not in config.task.commands:
        tasks = import_module("lightning_dl2.builtin").TASKS
        able = ", ".join(name for name, kind in tasks.items() if "predict" in kind.commands)
        raise UserError(f"run={run.path}: is a run of a {config.task.title}; allowed: a run of one of {able}")
    files = {key: Path(path) for key, path in (("embeddings", embeddings), ("attention", attention)) if path}
    with open_finished_run(run, config, checkpoint, others=data_path is not None) as (task, data, trainer):
        if pairs is not None:
            _ask(data, pairs)
        there = [part for part in SPLITS if data.count_items(part)]
        is_other = getattr(data, "other", None) is not None
        split = _usual_split(data, pairs is not None or is_other) if split == "auto" else split
        if split not in (*there, "all"):
            raise UserError(f"split={split}: the data of the run have no such items; allowed: {', '.join(there)}, all")
        parts = there if split == "all" else [split]
        if not files:
            rows = _predict(task, data, parts, trainer.predict)
        else:
            from lightning_dl2.inference.graph_outputs import Recorder

            recorder = Recorder(task, data, files)
            rows = _predict(task, data, parts, recorder.wrap(trainer.predict))
            recorder.write(rows)
        if is_other or pairs is not None:
            print(f"note: {_score(rows, data)}", file=sys.stderr)
    return rows


def _check_split(split: str, pairs: str | Path | None) -> None:
    if split not in (*SPLITS, "all", "auto"):
        raise UserError(f"split={split}: allowed: {', '.join(SPLITS)}, all, auto")
    if pairs is not None and split != "auto":
        raise UserError(f"split={split}: the pairs of pairs={pairs} are in no split; fix: leave one of both out")


def _usual_split(data: Any, asked: bool) -> str:
    """Return what is predicted if the user does not say it; `asked`: the items are not those of the run."""
    is_held_out = getattr(data, "target", None) == "link" and len(data.splits) > 0  # else the net sees the links
    return "all" if asked and not is_held_out else "test"


def _ask(data: Any, path: str | Path) -> None:
    """Make the pairs of a file the items of the data."""
    from lightning_dl2.data.graphs.links.asked_pairs import read_pairs
    from lightning_dl2.data.graphs.links.pair_data_module import PairDataModule

    if not isinstance(data, PairDataModule):
        raise UserError(f"pairs={path}: the run predicts no pairs of nodes; allowed: a run of data.level=link or edge")
    pairs, note = read_pairs(path, data.all_names)
    for each in filter(None, (note, data.ask(pairs))):
        print(f"note: {each}", file=sys.stderr)


def _score(rows: list[dict[str, Any]], data: Any) -> str:
    """Compare the predictions for other graphs with the labels that they have, of all targets together."""
    pairs = [
        (row[key], row[f"prediction{key.removeprefix('target')}"])
        for row in rows
        for key in row
        if key.startswith("target") and row[key] != ""
    ]
    if not pairs:
        return "no label is known here, and none is compared"
    if data.target == "link":
        return _score_links(pairs)
    if data.target == "regression":
        error = sum(abs(target - prediction) for target, prediction in pairs) / len(pairs)
        return f"mean absolute error {error:.6g} on {len(pairs)} known numbers"
    right = sum(target == prediction for target, prediction in pairs)
    return f"accuracy {right / len(pairs):.4f} on {len(pairs)} known labels"


def _score_links(pairs: list[tuple[Any, Any]]) -> str:
    """Compare the probabilities of edges with those of other pairs."""
    import torch

    from lightning_dl2.tasks.metrics import ranking_score

    is_link = torch.tensor([target == 1 for target, _ in pairs])
    count = int(is_link.sum())
    told = f"{count} of the {len(pairs)} pairs have an edge here"
    if not 0 < count < len(pairs):
        return told
    auc = ranking_score("auc", torch.tensor([found for _, found in pairs], dtype=torch.float64), is_link)
    return f"{told}; AUC {auc.item():.4f}"


def _predict(task: Any, data: Any, parts: list[str], compute: Callable[[Any, Any], Any]) -> list[dict[str, Any]]:
    from lightning_dl2.resume.train_batches import BatchList

    rows = []
    for part in parts:
        batches = BatchList(data.evaluation_batches(part))
        for batch, (ids, targets, outputs) in zip(batches, compute(task, batches), strict=True):
            more = data.input_columns(batch)
            named = data.id_columns(ids)
            names = [dict(zip(named, each, strict=True)) for each in zip(*named.values(), strict=True)]
            for number, row in enumerate(_rows(names, part, targets, outputs, data)):
                rows.append(row | {key: column[number] for key, column in more.items()})
    return rows


def _rows(names: list[dict[str, str]], split: str, targets: Any, outputs: Any, data: Any) -> list[dict[str, Any]]:
    cells = (
        _several if getattr(data, "target_names", []) and targets.ndim > 1 else _marked if targets.ndim > 1 else _one
    )
    found = zip(names, targets.tolist(), outputs.tolist(), strict=True)
    return [{**name, "split": split, **cells(target, output, data)} for name, target, output in found]


def _one(target: Any, output: Any, data: Any) -> dict[str, Any]:
    """Write a class with the probabilities of all, or a number; an unknown one is empty."""
    if not (classes := data.class_names):
        return {
            "target": int(target) if getattr(data, "target", None) == "link" else _known(target),
            "prediction": output,
        }
    row = {"target": classes[target] if target >= 0 else "", "prediction": classes[output.index(max(output))]}
    return row | {f"p({each})": probability for each, probability in zip(classes, output, strict=True)}


def _marked(target: list[int], output: list[int], data: Any) -> dict[str, Any]:
    """Write the answers at marked positions."""
    marked = [place for place, each in enumerate(target) if each >= 0]
    parts = {"target": target, "prediction": output}
    return {key: " ".join(data.class_names[part[place]] for place in marked) for key, part in parts.items()}


def _several(target: list[float], output: list[float], data: Any) -> dict[str, Any]:
    """Write each of several numbers or labels; an unknown one is empty."""
    row: dict[str, Any] = {}
    for name, wanted, found in zip(data.target_names, target, output, strict=True):
        if data.target == "multilabel":
            known = "" if wanted != wanted else int(wanted)
            row |= {f"target({name})": known, f"prediction({name})": int(found > 0.5), f"p({name})": found}
        else:
            row |= {f"target({name})": _known(wanted), f"prediction({name})": found}
    return row


def _known(number: float) -> float | str:
    return "" if number != number else number
