"""Recurrent networks in torch alone, and graph networks over `lightning_dl2.graphs`."""

from lightning_dl2.nets.graph.attention import GATConv, GATv2Conv
from lightning_dl2.nets.graph.convolutions import GCNConv, GCNIIConv, GINConv, GINEConv, MLPConv, SAGEConv
from lightning_dl2.nets.graph.gated import GatedGCNConv, GatedGraphConv
from lightning_dl2.nets.graph.graph_layer import GraphLayer
from lightning_dl2.nets.graph.layers import LAYERS
from lightning_dl2.nets.graph.network import GraphNetwork
from lightning_dl2.nets.graph.readouts import READOUTS, Readout
from lightning_dl2.nets.recurrent.cells import CELLS, PEEPHOLES, count_parameters
from lightning_dl2.nets.recurrent.classifier import ENCODINGS, RecurrentClassifier
from lightning_dl2.nets.recurrent.ensemble import Ensemble
from lightning_dl2.nets.recurrent.initialization import INITIALIZATIONS
from lightning_dl2.nets.recurrent.language_model import LanguageModel
from lightning_dl2.nets.recurrent.layers import Recurrent

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
