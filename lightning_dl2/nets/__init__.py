"""Recurrent nets in torch alone; graph nets over `lightning_dl2.graphs`."""

from lightning_dl2.nets.attention import GATConv, GATv2Conv
from lightning_dl2.nets.cells import CELLS, PEEPHOLES, count_parameters
from lightning_dl2.nets.classifier import ENCODINGS, RecurrentClassifier
from lightning_dl2.nets.convolutions import GCNConv, GCNIIConv, GINConv, GINEConv, MLPConv, SAGEConv
from lightning_dl2.nets.ensemble import Ensemble
from lightning_dl2.nets.gated import GatedGCNConv
from lightning_dl2.nets.gated_graph import GatedGraphConv
from lightning_dl2.nets.graph_layer import LAYERS, GraphLayer
from lightning_dl2.nets.graph_network import GraphNetwork
from lightning_dl2.nets.initialization import INITIALIZATIONS
from lightning_dl2.nets.language_model import LanguageModel
from lightning_dl2.nets.readouts import READOUTS, Readout
from lightning_dl2.nets.recurrent import Recurrent

__all__ = [
    "CELLS",
    "ENCODINGS",
    "Ensemble",
    "GATConv",
    "GATv2Conv",
    "GCNConv",
    "GCNIIConv",
    "GINConv",
    "GINEConv",
    "GatedGCNConv",
    "GatedGraphConv",
    "GraphLayer",
    "GraphNetwork",
    "INITIALIZATIONS",
    "LAYERS",
    "LanguageModel",
    "MLPConv",
    "PEEPHOLES",
    "READOUTS",
    "Readout",
    "Recurrent",
    "RecurrentClassifier",
    "SAGEConv",
    "count_parameters",
]
