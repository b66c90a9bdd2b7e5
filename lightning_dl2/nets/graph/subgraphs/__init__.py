"""Graph networks that read a graph as the bag of its subgraphs around each node or each edge."""

from lightning_dl2.nets.graph.subgraphs.extract import MARKS as MARKS
from lightning_dl2.nets.graph.subgraphs.extract import Subgraphs as Subgraphs
from lightning_dl2.nets.graph.subgraphs.extract import extract_subgraphs as extract_subgraphs
from lightning_dl2.nets.graph.subgraphs.network import SubgraphNetwork as SubgraphNetwork
