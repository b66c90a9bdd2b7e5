"""Recurrent nets in torch alone."""

from lightning_dl2.nets.cells import CELLS, PEEPHOLES, count_parameters
from lightning_dl2.nets.classifier import ENCODINGS, RecurrentClassifier
from lightning_dl2.nets.initialization import INITIALIZATIONS
from lightning_dl2.nets.language_model import LanguageModel
from lightning_dl2.nets.recurrent import Recurrent

__all__ = [
    "CELLS",
    "ENCODINGS",
    "INITIALIZATIONS",
    "LanguageModel",
    "PEEPHOLES",
    "Recurrent",
    "RecurrentClassifier",
    "count_parameters",
]
