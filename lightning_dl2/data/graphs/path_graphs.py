"""View sequences as graphs: a node for each token, an edge to the next one, the target at the last.

Batches of `SequenceDataModule` become batches of the graph task.

Shapes: B sequences, T tokens.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from lightning_dl2.graphs import Graph, GraphBatch


def path_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """Convert `SequenceDataModule.spec` to that of `GraphNet`, with the tokens as node types."""
    classes = spec["num_classes"]
    return {
        "level": "node",
        "target": "classification",
        "num_outputs": classes,
        "class_shares": [1 / classes] * classes,
        "in_feats": 0,
        "node_types": spec["vocabulary_size"],
        "edge_feats": 0,
        "edge_types": 0,
        "positional": None,
        "positional_size": 0,
    }


def path_batch(batch: tuple[Tensor, Tensor]) -> GraphBatch:
    """Convert tokens int64 [B, T] and labels int64 [B] to B paths in one graph, with targets at their last nodes."""
    tokens, labels = batch
    paths = _paths(*tokens.shape)
    last = paths.segments()[1:] - 1
    return GraphBatch(
        paths.replace(ndata={"types": tokens.flatten()}), labels, ids=torch.arange(len(labels)), index=last
    )


@lru_cache(maxsize=4)  # the structure is computed once for all batches of this size
def _paths(num_paths: int, num_nodes: int) -> Graph:
    nodes = torch.arange(num_paths * num_nodes).view(num_paths, num_nodes)
    return Graph(
        nodes[:, :-1].flatten(),
        nodes[:, 1:].flatten(),
        nodes.numel(),
        batch_num_nodes=torch.full((num_paths,), num_nodes),
    )
