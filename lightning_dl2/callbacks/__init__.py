"""Callbacks that any experiment can add to a Trainer."""

from lightning_dl2.callbacks.curves import Curves as Curves
from lightning_dl2.callbacks.final_validation import FinalValidation as FinalValidation
from lightning_dl2.callbacks.gradient_flow import GradientFlow as GradientFlow
from lightning_dl2.callbacks.length_curriculum import LengthCurriculum as LengthCurriculum
from lightning_dl2.callbacks.own_module import OwnModule as OwnModule
from lightning_dl2.callbacks.progress_bar import ProgressBar as ProgressBar
from lightning_dl2.callbacks.samples import Samples as Samples
from lightning_dl2.callbacks.stopping import StopWhenSolved as StopWhenSolved
from lightning_dl2.callbacks.stopping import StopWhenStalled as StopWhenStalled
from lightning_dl2.callbacks.stopwatch import Stopwatch as Stopwatch
from lightning_dl2.callbacks.weight_averaging import WeightAveraging as WeightAveraging
from lightning_dl2.callbacks.weight_noise import WeightNoise as WeightNoise
