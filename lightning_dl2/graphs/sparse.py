"""Products of a constant sparse matrix and a dense one, for normalised adjacencies and sparse input features.

Shapes: R rows, C columns, nnz entries, F features.
"""

import warnings
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

BAG_FEATURES = 16  # from so many on, bag_product is faster


def count(numbers: Tensor, size: int, weights: Tensor | None = None) -> Tensor:
    """Count how often each number below `size` stands among `numbers`, int64 [M] -> int64 [size].

    torch.bincount would wait for a GPU, as it looks for the largest number.

    Args:
        weights: int64 [M], by which each counts; None: 1.
    """
    weights = torch.ones_like(numbers) if weights is None else weights
    return numbers.new_zeros(size).scatter_add_(0, numbers, weights)


def compress(rows: Tensor, num_rows: int) -> Tensor:
    """Map rows, int64 [nnz] in any order, to indptr, int64 [num_rows + 1]: sorted, row r starts at entry indptr[r]."""
    indptr = rows.new_zeros(num_rows + 1)
    torch.cumsum(count(rows, num_rows), 0, out=indptr[1:])
    return indptr


def by_row(rows: Tensor, cols: Tensor, num_rows: int, num_cols: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sort entries, int64 [nnz], by row, then column: indptr [num_rows + 1], column [nnz] and old position [nnz]."""
    order = torch.argsort(rows * num_cols + cols, stable=True)
    return compress(rows, num_rows), cols.index_select(0, order), order


def expand(indptr: Tensor, nnz: int) -> Tensor:
    """Map indptr, int64 [R + 1], to the row of each entry, int64 [nnz]."""
    return torch.repeat_interleave(indptr.diff(), output_size=nnz)


@cache
def _hush() -> None:
    """Trigger and suppress torch's warning, once a process, that sparse rows are in beta."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor([0, 1], [0], [1.0], (1, 1), check_invariants=False)


class _Product(Function):
    """Compute matrix @ dense; the gradient is the transpose times the gradient, again such a product."""

    @staticmethod
    def forward(ctx: Any, matrix: "SparseMatrix", dense: Tensor) -> Tensor:
        ctx.matrix = matrix
        # cuSPARSE promises equal bits on each run for none of the algorithms that torch uses.
        if dense.is_cuda and torch.are_deterministic_algorithms_enabled():
            return segment_product(matrix, dense)
        if dense.device.type == "cpu" and dense.dtype == torch.float32 and dense.shape[1] >= BAG_FEATURES:
            return bag_product(matrix, dense)
        return matrix.torch_csr() @ dense

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        return None, ctx.matrix.transpose().matmul(grad)


def segment_product(matrix: "SparseMatrix", dense: Tensor) -> Tensor:
    """Multiply by selecting rows of `dense`, [nnz, F], and adding each row's one after the other."""
    products = dense.index_select(0, matrix.indices) * matrix.values.unsqueeze(1)
    return torch.segment_reduce(products, "sum", offsets=matrix.indptr, axis=0, unsafe=True)


def bag_product(matrix: "SparseMatrix", dense: Tensor) -> Tensor:
    """Multiply with each row as a bag of weighted rows of `dense`, for which torch has a kernel with prefetch.

    On a CPU, in float32, it is 2 to 7 times as fast as the product of torch's sparse matrix.
    """
    if not matrix.nnz:
        return dense.new_zeros(matrix.shape[0], dense.shape[1])
    return F.embedding_bag(
        matrix.indices,
        dense.contiguous(),
        matrix.indptr,
        mode="sum",
        per_sample_weights=matrix.values,
        include_last_offset=True,
    )


class SparseMatrix:
    """Compressed sparse rows. Entries that repeat within a row add up.

    The values are constants: gradients flow to the dense operand of a product only.

    Args:
        indptr: int64 [R + 1]; the entries of row r are those from indptr[r] to indptr[r + 1].
        indices: int64 [nnz], the column of each entry.
        values: float [nnz].
        shape: (R, C).
        symmetric: the matrix is its own transpose, which then costs neither time nor memory. Not checked.
        turned: the transpose, if known: its indptr and indices, and the place in `values` of each of its entries.
    """

    def __init__(
        self,
        indptr: Tensor,
        indices: Tensor,
        values: Tensor,
        shape: tuple[int, int],
        *,
        symmetric: bool = False,
        turned: tuple[Tensor, Tensor, Tensor] | None = None,
    ) -> None:
        self.indptr, self.indices, self.values = indptr, indices, values
        self.shape, self.symmetric = (int(shape[0]), int(shape[1])), symmetric
        self._csr: Tensor | None = None
        self._transpose: SparseMatrix | None = None
        self._transpose_of: weakref.ref[SparseMatrix] | None = None  # a cycle would keep the memory of each batch
        self._turned = [] if turned is None else [turned]  # a list, so that `with_values` shares what is made later

    @classmethod
    def from_coo(cls, rows: Tensor, cols: Tensor, values: Tensor, shape: tuple[int, int]) -> "SparseMatrix":
        """Build from entries [nnz] in any order; repeated ones are kept and add up in products."""
        order = torch.argsort(rows * shape[1] + cols, stable=True)
        return cls(compress(rows, shape[0]), cols[order], values[order], shape)

    @classmethod
    def from_dense(cls, x: Tensor) -> "SparseMatrix":
        rows, cols = x.nonzero(as_tuple=True)
        return cls(compress(rows, len(x)), cols, x[rows, cols], (x.shape[0], x.shape[1]))

    def __repr__(self) -> str:
        return f"SparseMatrix({self.shape[0]} x {self.shape[1]}, nnz={self.nnz}, {self.dtype}, {self.device})"

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nnz(self) -> int:
        return len(self.indices)

    @property
    def device(self) -> torch.device:
        return self.values.device

    @property
    def dtype(self) -> torch.dtype:
        return self.values.dtype

    def row_of_entry(self) -> Tensor:
        """Return the row of each entry, int64 [nnz]."""
        return expand(self.indptr, self.nnz)

    def to_dense(self) -> Tensor:
        dense = self.values.new_zeros(self.shape)
        return dense.index_put_((self.row_of_entry(), self.indices), self.values, accumulate=True)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None, *, non_blocking: bool = False
    ) -> "SparseMatrix":
        """Move, and convert the values to `dtype`; the transpose moves along. Returns itself if nothing changes."""
        device = self.device if device is None else torch.device(device)
        moved = self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))
        if dtype is not None and dtype != moved.dtype:
            return moved.with_values(moved.values.to(dtype))
        return self if moved.values is self.values else moved

    def pin_memory(self) -> "SparseMatrix":
        return self._map(Tensor.pin_memory)

    def _map(self, function: Callable[[Tensor], Tensor]) -> "SparseMatrix":
        indptr, indices, values = map(function, (self.indptr, self.indices, self.values))
        result = SparseMatrix(indptr, indices, values, self.shape, symmetric=self.symmetric)
        result._turned = [(function(a), function(b), function(c)) for a, b, c in self._turned]
        return result

    def with_values(self, values: Tensor) -> "SparseMatrix":
        """Return the same structure with other values, [nnz], which must be as symmetric as these."""
        result = SparseMatrix(self.indptr, self.indices, values, self.shape, symmetric=self.symmetric)
        result._turned = self._turned
        return result

    def rows(self, index: Tensor) -> "SparseMatrix":
        """Select rows, int64 [M] -> [M, C], sparse."""
        counts = (self.indptr[1:] - self.indptr[:-1])[index]
        indptr = counts.new_zeros(len(index) + 1)
        torch.cumsum(counts, 0, out=indptr[1:])
        places = torch.repeat_interleave(self.indptr[index] - indptr[:-1], counts)
        places += torch.arange(len(places), device=places.device)
        return SparseMatrix(indptr, self.indices[places], self.values[places], (len(index), self.shape[1]))

    def transpose(self) -> "SparseMatrix":
        """Return the transpose, [C, R]; made once, and its transpose is this matrix again."""
        if self.symmetric:
            return self
        if self._transpose_of and (matrix := self._transpose_of()) is not None:
            return matrix
        if self._transpose is None:
            if not self._turned:
                rows = self.row_of_entry()
                order = torch.argsort(self.indices * self.shape[0] + rows, stable=True)
                self._turned.append((compress(self.indices, self.shape[1]), rows[order], order))
            indptr, indices, order = self._turned[0]
            self._transpose = SparseMatrix(indptr, indices, self.values[order], self.shape[::-1])
            self._transpose._transpose_of = weakref.ref(self)
        return self._transpose

    def torch_csr(self) -> Tensor:
        """Return torch's sparse tensor on the same storage; made once."""
        if self._csr is None:
            _hush()
            self._csr = torch.sparse_csr_tensor(
                self.indptr, self.indices, self.values, self.shape, check_invariants=False
            )
        return self._csr

    def matmul(self, dense: Tensor) -> Tensor:
        """Multiply with `dense`, [C, F] -> [R, F], twice differentiable with respect to `dense`.

        It is computed in the wider dtype of the two operands, also under autocast: sums over many neighbours in
        bfloat16 lose digits.

        Raises:
            ValueError: `dense` has a wrong number of rows.
        """
        if dense.shape[0] != self.shape[1]:
            raise ValueError(f"a matrix {self.shape[0]} x {self.shape[1]} cannot multiply one of {len(dense)} rows")
        if torch.is_autocast_enabled(dense.device.type):
            with torch.autocast(dense.device.type, enabled=False):
                return self.matmul(dense)
        dtype = torch.promote_types(self.dtype, dense.dtype)
        matrix = self if dtype == self.dtype else self.to(dtype=dtype)
        return _Product.apply(matrix, dense.to(dtype))

    __matmul__ = matmul

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_csr": None, "_transpose": None, "_transpose_of": None, "_turned": []}
