"""Edges and pairs of nodes as items: link prediction."""

from lightning_dl2.data.graphs.links.link_data_module import LinkDataModule as LinkDataModule
