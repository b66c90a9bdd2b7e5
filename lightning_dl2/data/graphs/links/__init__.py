"""Edges and pairs of nodes as items: link prediction, and labels of edges."""

from lightning_dl2.data.graphs.links.edge_data_module import EdgeDataModule as EdgeDataModule
from lightning_dl2.data.graphs.links.link_data_module import LinkDataModule as LinkDataModule
