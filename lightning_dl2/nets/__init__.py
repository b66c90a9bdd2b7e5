"""Recurrent networks in torch alone, and graph networks over `lightning_dl2.graphs`."""

from lightning_dl2.nets.graph.attention import GATConv as GATConv
from lightning_dl2.nets.graph.attention import GATv2Conv as GATv2Conv
from lightning_dl2.nets.graph.convolutions import GCNConv as GCNConv
from lightning_dl2.nets.graph.convolutions import GCNIIConv as GCNIIConv
from lightning_dl2.nets.graph.convolutions import GINConv as GINConv
from lightning_dl2.nets.graph.convolutions import GINEConv as GINEConv
from lightning_dl2.nets.graph.convolutions import MLPConv as MLPConv
from lightning_dl2.nets.graph.convolutions import SAGEConv as SAGEConv
from lightning_dl2.nets.graph.gated import GatedGCNConv as GatedGCNConv
from lightning_dl2.nets.graph.gated import GatedGraphConv as GatedGraphConv
from lightning_dl2.nets.graph.graph_layer import GraphLayer as GraphLayer
from lightning_dl2.nets.graph.layers import LAYERS as LAYERS
from lightning_dl2.nets.graph.network import GraphNetwork as GraphNetwork
from lightning_dl2.nets.graph.readouts import READOUTS as READOUTS
from lightning_dl2.nets.graph.readouts import Readout as Readout
from lightning_dl2.nets.recurrent.cells import CELLS as CELLS
from lightning_dl2.nets.recurrent.cells import PEEPHOLES as PEEPHOLES
from lightning_dl2.nets.recurrent.cells import Cell as Cell
from lightning_dl2.nets.recurrent.check_cell import check_cell as check_cell
from lightning_dl2.nets.recurrent.classifier import ENCODINGS as ENCODINGS
from lightning_dl2.nets.recurrent.classifier import RecurrentClassifier as RecurrentClassifier
from lightning_dl2.nets.recurrent.ensemble import Ensemble as Ensemble
from lightning_dl2.nets.recurrent.initialization import INITIALIZATIONS as INITIALIZATIONS
from lightning_dl2.nets.recurrent.language_model import LanguageModel as LanguageModel
from lightning_dl2.nets.recurrent.layers import Recurrent as Recurrent
from lightning_dl2.nets.recurrent.lookup import count_parameters as count_parameters
