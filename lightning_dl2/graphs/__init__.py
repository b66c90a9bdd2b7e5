"""Graphs as tensors, and the operations of graph networks on them, by DGL or by torch alone.

`Graph` is one graph, a batch of graphs or a sampled block; `PackedGraphs` holds many small ones, and `NeighborBlocks`
samples blocks of a big one. `spmm`, `sddmm`, `edge_softmax`, `segment_readout` and `gather` compute with the graph's
engine, `edge_sum` and `gated_mean` by torch alone. DGL is imported at its first use.
"""

from lightning_dl2.graphs.choose_engine import ENGINES as ENGINES
from lightning_dl2.graphs.choose_engine import resolve_engine as resolve_engine
from lightning_dl2.graphs.gated_mean import edge_sum as edge_sum
from lightning_dl2.graphs.gated_mean import gated_mean as gated_mean
from lightning_dl2.graphs.graph import Graph as Graph
from lightning_dl2.graphs.graph_batch import GraphBatch as GraphBatch
from lightning_dl2.graphs.import_dgl import dgl_available as dgl_available
from lightning_dl2.graphs.import_dgl import load_dgl as load_dgl
from lightning_dl2.graphs.packed_graphs import PackedGraphs as PackedGraphs
from lightning_dl2.graphs.positional_encodings import laplacian_encoding as laplacian_encoding
from lightning_dl2.graphs.positional_encodings import random_walk_encoding as random_walk_encoding
from lightning_dl2.graphs.primitives import edge_softmax as edge_softmax
from lightning_dl2.graphs.primitives import gather as gather
from lightning_dl2.graphs.primitives import sddmm as sddmm
from lightning_dl2.graphs.primitives import segment_readout as segment_readout
from lightning_dl2.graphs.primitives import spmm as spmm
from lightning_dl2.graphs.sampling import NeighborBlocks as NeighborBlocks
from lightning_dl2.graphs.sampling import reverse_edges as reverse_edges
from lightning_dl2.graphs.sparse import SparseMatrix as SparseMatrix
