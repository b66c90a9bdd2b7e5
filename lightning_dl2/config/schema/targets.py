"""Name the kinds of targets of items such as nodes and graphs, and the metrics of each kind.

Monitors, sweeps and reports ask here in which direction a metric improves; a task computes them.
"""

from collections.abc import Iterable
from typing import Literal

from lightning_dl2.config.schema.component import Mode

TargetKind = Literal["classification", "regression", "multilabel", "link"]
Asked = Literal["classification", "regression", "multilabel"]  # of items that have labels
HITS_AT = (1, 3, 10, 20, 50, 100)  # the k of Hits@k

# The metrics of each kind of target, and the direction in which each improves: the one place of both.
METRICS: dict[str, dict[str, Mode]] = {
    "classification": {
        "accuracy": "max", "macro_accuracy": "max", "macro_f1": "max", "micro_f1": "max", "auc": "max",
        "average_precision": "max",
    },
    "regression": {"mean_absolute_error": "min", "root_mean_squared_error": "min", "r2": "max"},
    "multilabel": {
        "accuracy": "max", "macro_f1": "max", "micro_f1": "max", "auc": "max", "average_precision": "max",
    },
    "link": {
        "auc": "max", "average_precision": "max", "mrr": "max", **dict.fromkeys([f"hits_{k}" for k in HITS_AT], "max"),
    },
}  # fmt: skip
ALWAYS = {  # what is logged without task.extra_metrics
    "classification": ("accuracy", "macro_accuracy"),
    "regression": ("mean_absolute_error",),
    "multilabel": ("accuracy", "macro_f1"),
    "link": ("auc", "average_precision", "mrr", "hits_10"),
}
# What is logged of each of several targets, by the name of the mean over them; of a sum over all targets nothing is.
OF_EACH = {
    "mean_absolute_error": "mean_absolute_error", "root_mean_squared_error": "root_mean_squared_error", "r2": "r2",
    "accuracy": "accuracy", "macro_f1": "f1", "auc": "auc", "average_precision": "average_precision",
}  # fmt: skip
SEVERAL = ("regression", "multilabel")  # the kinds of which an item may have several


def name_of_target(metric: str, target: str) -> str:
    """Name a metric, one of OF_EACH, of one target."""
    return f"{OF_EACH[metric]}_of_{target}"


def logged_metrics(kind: str, extra: Iterable[str], targets: Iterable[str]) -> dict[str, Mode]:
    """Return the metrics of a kind of target, and the direction in which each improves.

    Args:
        extra: those of task.extra_metrics.
        targets: names of several, each of which is measured, too; empty: none is.
    """
    logged = {name: mode for name, mode in METRICS[kind].items() if name in (*ALWAYS[kind], *extra)}
    of_each = [name for name in logged if name in OF_EACH and kind in SEVERAL]
    return logged | {name_of_target(name, target): logged[name] for name in of_each for target in targets}
