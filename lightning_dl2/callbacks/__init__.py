"""Callbacks that any experiment can add to a Trainer."""

from lightning_dl2.callbacks.curves import Curves
from lightning_dl2.callbacks.final_validation import FinalValidation
from lightning_dl2.callbacks.gradient_flow import GradientFlow
from lightning_dl2.callbacks.length_curriculum import LengthCurriculum
from lightning_dl2.callbacks.progress_bar import ProgressBar
from lightning_dl2.callbacks.samples import Samples
from lightning_dl2.callbacks.stopping import StopWhenSolved, StopWhenStalled
from lightning_dl2.callbacks.stopwatch import Stopwatch
from lightning_dl2.callbacks.weight_averaging import WeightAveraging

__all__ = [
    "Curves",
    "FinalValidation",
    "GradientFlow",
    "LengthCurriculum",
    "ProgressBar",
    "Samples",
    "StopWhenSolved",
    "StopWhenStalled",
    "Stopwatch",
    "WeightAveraging",
]
