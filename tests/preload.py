"""Load torch and compose conf/ as most tests do, once, in the process from which tests/processes.py forks commands."""

import gc

import lightning_dl2.train  # noqa: F401
import lightning_dl2.training.fit  # noqa: F401
from lightning_dl2 import compose
from tests.conftest import TINY, TINY_GRAPH, TINY_TEXT

for words in (TINY, TINY_TEXT, TINY_GRAPH):
    compose(*words)
gc.freeze()  # no process looks through the modules of torch
