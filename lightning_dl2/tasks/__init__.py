"""LightningModules: forward, loss, metrics, optimiser. They import no data module."""

from lightning_dl2.tasks.build import build_task as build_task
from lightning_dl2.tasks.build import load_task as load_task
from lightning_dl2.tasks.graph_net import GraphNet as GraphNet
from lightning_dl2.tasks.sequence_classifier import SequenceClassifier as SequenceClassifier
from lightning_dl2.tasks.sequence_regressor import SequenceRegressor as SequenceRegressor
from lightning_dl2.tasks.sequence_transducer import SequenceTransducer as SequenceTransducer
from lightning_dl2.tasks.task import Task as Task
from lightning_dl2.tasks.text_generator import TextGenerator as TextGenerator
