"""Predict the target of each node or graph with a graph run."""

from typing import Any

from lightning_dl2.common.errors import UserError
from lightning_dl2.run.directory import Run
from lightning_dl2.training.open_run import open_finished_run, with_data_path

SPLITS = ("train", "val", "test", "rest")


def predict(
    run: str | Run, split: str = "test", checkpoint: str = "best", data_path: str | None = None
) -> list[dict[str, Any]]:
    """Return the predictions of a checkpoint of a graph run, one row for each node or graph of a split.

    Args:
        run: the run directory.
        split: train, val, test, rest (the nodes or graphs in none of them) or all.
        checkpoint: best, last, or the name of a file.
        data_path: the path of the run's graphs; None: as the configuration says.

    Returns:
        Rows of id, split, target, prediction and `p(CLASS)`, in the order of the data.

    Raises:
        UserError: `run` is no run of a graph_net, or has no such checkpoint or split.
    """
    if split not in (*SPLITS, "all"):
        raise UserError(f"split={split}: allowed: {', '.join(SPLITS)}, all")
    run = run if isinstance(run, Run) else Run.existing(run)
    config = with_data_path(run.config(), data_path)
    if "predict" not in config.task.commands:
        raise UserError(f"run={run.path}: is a run of a {config.task.title}; allowed: a run of a graph_net")

    from lightning_dl2.data.graphs.graph_data_module import FixedGraphBatches

    with open_finished_run(run, config, checkpoint) as (task, data, trainer):
        rows = []
        if split == "rest" and not len(data.items(split)):
            raise UserError("split=rest: every node or graph is in a split; allowed: train, val, test, all")
        for part in SPLITS if split == "all" else (split,):
            if not len(data.items(part)):
                continue
            batches = FixedGraphBatches(data.evaluation_batches(part))
            for batch, (ids, outputs) in zip(batches, trainer.predict(task, batches), strict=True):
                rows += _rows(data.names(ids), part, batch.targets.tolist(), outputs.tolist(), data.class_names)
    return rows


def _rows(
    names: list[str], split: str, targets: list[Any], outputs: list[Any], classes: list[str]
) -> list[dict[str, Any]]:
    rows = []
    for name, target, output in zip(names, targets, outputs, strict=True):
        row = {"id": name, "split": split, "target": target, "prediction": output}
        if classes:
            row |= {"target": classes[target] if target >= 0 else "", "prediction": classes[output.index(max(output))]}
            row |= {f"p({each})": probability for each, probability in zip(classes, output, strict=True)}
        rows.append(row)
    return rows
