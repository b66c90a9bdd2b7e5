"""LightningModules: forward, loss, metrics, optimiser. They import no data module."""

from lightning_dl2.tasks.build import TASKS, build_task, load_task
from lightning_dl2.tasks.graph_net import GraphNet
from lightning_dl2.tasks.sequence_classifier import SequenceClassifier
from lightning_dl2.tasks.task import Task
from lightning_dl2.tasks.text_generator import TextGenerator

__all__ = ["TASKS", "GraphNet", "SequenceClassifier", "Task", "TextGenerator", "build_task", "load_task"]
