"""Represent features as rows of a small table, as atoms and bonds are before the first layer.

A linear map is applied to the table, and its rows are looked up afterwards: 28 rows, say, instead of thousands.

Shapes: T types, R rows, F features.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from lightning_dl2.graphs import SparseMatrix
from lightning_dl2.graphs.sparse import compress


class Lookup:
    """The rows table[index] of table [T, F] and index, int64 [R]."""

    def __init__(self, table: Tensor, index: Tensor) -> None:
        self.table, self.index = table, index

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.index), self.table.shape[1]

    def to_dense(self) -> Tensor:
        """Return the rows, [R, F]."""
        return _Rows.apply(self.table, self)

    def map(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply `function`, which maps each row by itself, to the rows: [R, ...]."""
        return _Rows.apply(function(self.table), self)

    @cached_property
    def rows_of_type(self) -> SparseMatrix:
        """Return the matrix [T, R] with a 1 where the row is of the type; it sums gradients."""
        num_types, ones = len(self.table), torch.ones(len(self.index), device=self.index.device)
        order = torch.argsort(self.index, stable=True)
        return SparseMatrix(compress(self.index, num_types), order, ones, (num_types, len(self.index)))


class _Rows(Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, lookup: Lookup) -> Tensor:
        ctx.lookup = lookup
        return table.index_select(0, lookup.index)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return (ctx.lookup.rows_of_type @ grad).to(grad.dtype), None
