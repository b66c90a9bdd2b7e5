"""Sample the blocks that a mini-batch of nodes needs, one a layer (Hamilton et al. 2017)."""

from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.graphs import Graph, load_dgl


class NeighborBlocks:
    """Sample blocks by DGL's NeighborSampler; equal seeds give equal blocks.

    Args:
        graph: without self-loops; a net that needs them adds them to the blocks.
        fanouts: in-neighbours sampled for a node, by layer from the input on.

    Raises:
        UserError: DGL is not installed.
    """

    def __init__(self, graph: Graph, fanouts: list[int]) -> None:
        self.dgl = load_dgl()
        if self.dgl is None:
            raise UserError(f"data.fanouts={fanouts}: needs dgl, which is not installed; allowed: null")
        self.graph = graph
        self.sampler = self.dgl.dataloading.NeighborSampler(list(fanouts))

    def sample(self, nodes: Tensor, seed: int) -> list[Graph]:
        """Sample the blocks from input to output, with `nodes` as the last destinations; the first has features."""
        # DGL has one generator a thread: with one thread, the order of the draws is fixed.
        threads = self.dgl.utils.get_num_threads()
        self.dgl.utils.set_num_threads(1)
        try:
            self.dgl.seed(seed % 2**31)
            _, _, blocks = self.sampler.sample(self.graph.to_dgl(), nodes)
        finally:
            self.dgl.utils.set_num_threads(threads)
        converted = []
        for block in blocks:
            src, dst = block.edges()
            sources, edges = block.srcdata[self.dgl.NID], block.edata[self.dgl.EID]
            degrees = self.graph.out_degrees[sources], self.graph.in_degrees[sources[: block.num_dst_nodes()]]
            edata = {name: value[edges] for name, value in self.graph.edata.items()}
            converted.append(
                Graph(src, dst, block.num_dst_nodes(), num_src=block.num_src_nodes(), edata=edata, full_degrees=degrees)
            )
        sources = blocks[0].srcdata[self.dgl.NID]
        ndata = {
            name: value.rows(sources) if not isinstance(value, Tensor) else value[sources]
            for name, value in self.graph.ndata.items()
        }
        return [converted[0].replace(ndata=ndata), *converted[1:]]
