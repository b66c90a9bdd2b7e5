"""Load torch and compose conf/ once, in the process from which tests/processes.py forks commands."""

import gc

import lightning_dl2.train  # noqa: F401
import lightning_dl2.training.fit  # noqa: F401
from lightning_dl2 import compose
from tests.conftest import TINY

compose(*TINY)
gc.freeze()  # no process looks through the modules of torch
