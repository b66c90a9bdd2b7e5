"""Name the kinds of targets of items such as nodes and graphs, and the metrics of each kind.

Monitors, sweeps and reports ask here in which direction a metric improves; a task computes them.
"""

from typing import Literal

from lightning_dl2.config.schema.component import Mode

TargetKind = Literal["classification", "regression", "multilabel"]

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
}  # fmt: skip
ALWAYS = {  # what is logged without task.metrics
    "classification": ("accuracy", "macro_accuracy"),
    "regression": ("mean_absolute_error",),
    "multilabel": ("accuracy", "macro_f1"),
}
