"""Linear layer, dropout and row selection for sparse inputs, such as bags of words.

Shapes: R rows, I in_features, O out_features.
"""

from typing import Any, TypeVar, overload

import torch
from torch import Tensor, nn

from lightning_dl2.graphs import Graph, SparseMatrix
from lightning_dl2.graphs.graph import Features
from lightning_dl2.nets.dropout import dropout as dense_dropout
from lightning_dl2.nets.graph.lookup import Lookup

Rows = TypeVar("Rows", bound=Features | Lookup)


class SparseLinear(nn.Linear):
    """`nn.Linear` that also takes a SparseMatrix [R, I]: a paper of Cora has 18 of 1433 words."""

    def forward(self, x: Features | Lookup) -> Tensor:
        """Map features [R, I], dense, sparse or of a table, to [R, O]."""
        if isinstance(x, Lookup):
            return x.map(super().forward)
        if not isinstance(x, SparseMatrix):
            return super().forward(x)
        y = x.matmul(self.weight.t()).to(self.weight.dtype)
        return y if self.bias is None else y + self.bias


@overload
def dropout(x: Tensor, p: float, training: bool) -> Tensor: ...
@overload
def dropout(x: SparseMatrix, p: float, training: bool) -> SparseMatrix: ...
def dropout(x: Features, p: float, training: bool) -> Features:
    """Drop entries of a tensor, or stored values of a sparse matrix, whose zeros need no dropout."""
    if isinstance(x, SparseMatrix) and training and p:
        return x.with_values(dense_dropout(x.values, p))
    return x if isinstance(x, SparseMatrix) else dense_dropout(x, p, training)


def first_rows(x: Rows, count: int) -> Rows:
    """Select the first rows: [R, I] -> [count, I]."""
    if x.shape[0] == count:
        return x
    whole: Any = x  # a Lookup has as many rows already
    return whole.rows(torch.arange(count, device=x.device)) if isinstance(x, SparseMatrix) else whole[:count]


def destinations(graph: Graph, x: Rows) -> Rows:
    """Select the rows of the destination nodes, which come first: [S, I] -> [N, I]."""
    return first_rows(x, graph.num_nodes)


def as_dense(x: Features | Lookup) -> Tensor:
    """Convert to a tensor."""
    return x if isinstance(x, Tensor) else x.to_dense()
