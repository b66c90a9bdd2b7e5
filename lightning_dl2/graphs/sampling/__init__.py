"""Mini-batches of one big graph: in-edges drawn for each node, and the blocks that they make."""

from lightning_dl2.graphs.sampling.neighbor_blocks import NeighborBlocks as NeighborBlocks
from lightning_dl2.graphs.sampling.reverse_edges import reverse_edges as reverse_edges
