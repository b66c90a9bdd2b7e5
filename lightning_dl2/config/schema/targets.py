"""Name the kinds of targets of items such as nodes and graphs, and the metrics of each kind.

Monitors, sweeps and reports ask here in which direction a metric improves; a task computes them.
"""

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
