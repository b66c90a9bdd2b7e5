"""Sequences seen as graphs: a node for each token, an edge to the next one, the answer at the last.

A view of the batches of `SequenceDataModule` for the graph task; the data are the same.

Shapes: B sequences, T tokens.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from lightning_dl2.graphs import Graph, GraphBatch


def path_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """`SequenceDataModule.spec` as what `GraphNet` must know: the tokens are the types of the nodes."""
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
    """Tokens int64 [B, T] and labels int64 [B] -> B paths in one graph, asked about at their last nodes."""
    tokens, labels = batch
    paths = _paths(*tokens.shape)
    last = paths.segments()[1:] - 1
    return GraphBatch(
        paths.replace(ndata={"types": tokens.flatten()}), labels, ids=torch.arange(len(labels)), index=last
    )


@lru_cache(maxsize=4)  # what follows from the structure is computed once for all batches of this size
def _paths(num_paths: int, num_nodes: int) -> Graph:
    nodes = torch.arange(num_paths * num_nodes).view(num_paths, num_nodes)
    return Graph(
        nodes[:, :-1].flatten(),
        nodes[:, 1:].flatten(),
        nodes.numel(),
        batch_num_nodes=torch.full((num_paths,), num_nodes),
    )
