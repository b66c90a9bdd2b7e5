"""Graphs as tensors, and the operations of graph networks on them, by DGL or by torch alone.

`Graph` is one graph, a batch of graphs or a sampled block; `PackedGraphs` holds many small ones. `spmm`, `sddmm`,
`edge_softmax`, `segment_readout` and `gather` compute with the graph's engine, `edge_sum` and `gated_mean` by torch
alone. DGL is imported at its first use.
"""

from lightning_dl2.graphs.choose_engine import ENGINES, resolve_engine
from lightning_dl2.graphs.gated_mean import edge_sum, gated_mean
from lightning_dl2.graphs.graph import Graph
from lightning_dl2.graphs.graph_batch import GraphBatch
from lightning_dl2.graphs.import_dgl import dgl_available, load_dgl
from lightning_dl2.graphs.packed_graphs import PackedGraphs
from lightning_dl2.graphs.positional_encodings import laplacian_encoding, random_walk_encoding
from lightning_dl2.graphs.primitives import edge_softmax, gather, sddmm, segment_readout, spmm
from lightning_dl2.graphs.sparse import SparseMatrix

__all__ = [
    "ENGINES",
    "Graph",
    "GraphBatch",
    "PackedGraphs",
    "SparseMatrix",
    "dgl_available",
    "edge_softmax",
    "edge_sum",
    "gated_mean",
    "gather",
    "laplacian_encoding",
    "load_dgl",
    "random_walk_encoding",
    "resolve_engine",
    "sddmm",
    "segment_readout",
    "spmm",
]
