"""What any experiment can add to a Trainer."""

from lightning_dl2.callbacks.checkpoint_io import VerifiedCheckpointIO
from lightning_dl2.callbacks.curves import Curves
from lightning_dl2.callbacks.exact_resume import ExactResume
from lightning_dl2.callbacks.final_validation import FinalValidation
from lightning_dl2.callbacks.gradient_flow import GradientFlow
from lightning_dl2.callbacks.keep_checkpoints import KeepCheckpoints
from lightning_dl2.callbacks.length_curriculum import LengthCurriculum
from lightning_dl2.callbacks.metrics_csv import MetricsCSV
from lightning_dl2.callbacks.preemption import Interrupted, Preemption
from lightning_dl2.callbacks.progress import ProgressBar
from lightning_dl2.callbacks.samples import Samples
from lightning_dl2.callbacks.stopping import StopWhenSolved, StopWhenStalled
from lightning_dl2.callbacks.stopwatch import Stopwatch
from lightning_dl2.callbacks.weight_averaging import WeightAveraging

__all__ = [
    "Curves",
    "ExactResume",
    "FinalValidation",
    "GradientFlow",
    "Interrupted",
    "KeepCheckpoints",
    "LengthCurriculum",
    "MetricsCSV",
    "Preemption",
    "ProgressBar",
    "Samples",
    "StopWhenSolved",
    "StopWhenStalled",
    "Stopwatch",
    "VerifiedCheckpointIO",
    "WeightAveraging",
]
