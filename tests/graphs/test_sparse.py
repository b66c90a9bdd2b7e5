"""Test sparse matrices and their gradients against dense ones."""

import gc
import pickle
import weakref

import pytest
import torch

from lightning_dl2.graphs import SparseMatrix
from lightning_dl2.graphs.sparse import count, segment_product


def example(dtype=torch.float64) -> tuple[SparseMatrix, torch.Tensor]:
    """Return a 5 x 4 matrix with an empty row, an empty column and a repeated entry, sparse and dense."""
    rows, cols = torch.tensor([4, 0, 2, 0, 2, 2]), torch.tensor([1, 3, 0, 1, 3, 0])
    values = torch.tensor([0.5, -1.0, 2.0, 3.0, 4.0, 5.0], dtype=dtype)
    dense = torch.zeros(5, 4, dtype=dtype)
    dense[4, 1], dense[0, 3], dense[2, 0], dense[0, 1], dense[2, 3] = 0.5, -1, 7, 3, 4
    return SparseMatrix.from_coo(rows, cols, values, (5, 4)), dense


def test_from_coo_and_from_dense_hold_the_matrix():
    matrix, dense = example()
    assert torch.equal(matrix.to_dense(), dense)
    again = SparseMatrix.from_dense(dense)
    assert torch.equal(again.to_dense(), dense) and again.nnz == 5
    assert (again.shape, len(again), again.dtype, again.device.type) == ((5, 4), 5, torch.float64, "cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_product_and_its_gradient_are_those_of_the_dense_matrix(dtype):
    matrix, dense = example(dtype)
    x = torch.randn(4, 3, dtype=dtype, requires_grad=True)
    torch.testing.assert_close(matrix @ x, dense @ x)
    weights = torch.randn(5, 3, dtype=dtype)
    (grad,) = torch.autograd.grad((matrix.matmul(x) * weights).sum(), x)
    torch.testing.assert_close(grad, dense.T @ weights)


@pytest.mark.parametrize("features", [1, 15, 16, 70])
def test_many_features_give_the_same_in_their_own_way(features):
    matrix, dense = example(torch.float32)
    x = torch.randn(features, 4).t().requires_grad_()  # its rows are not contiguous
    weights = torch.randn(5, features)
    torch.testing.assert_close(matrix @ x, dense @ x)
    (grad,) = torch.autograd.grad((matrix.matmul(x) * weights).sum(), x)
    torch.testing.assert_close(grad, dense.T @ weights)


def test_gradcheck_once_and_twice():
    matrix, _ = example()
    x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: (matrix @ x).sin(), x)
    assert torch.autograd.gradgradcheck(lambda x: (matrix @ x).sin(), x)


def test_the_way_for_deterministic_cuda_gives_the_same():
    matrix, dense = example()
    x = torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(segment_product(matrix, x), dense @ x)


@pytest.mark.parametrize("shape", [(3, 2), (0, 2), (3, 0)])
def test_without_entries(shape):
    none = torch.empty(0, dtype=torch.int64)
    matrix = SparseMatrix.from_coo(none, none, torch.empty(0), shape)
    x = torch.ones(shape[1], 20, requires_grad=True)
    product = matrix @ x
    assert torch.equal(product, torch.zeros(shape[0], 20))
    product.sum().backward()
    assert torch.equal(x.grad, torch.zeros_like(x))
    assert torch.equal(segment_product(matrix, x), product) and torch.equal(matrix.to_dense(), torch.zeros(shape))


def test_the_transpose_is_made_once_and_its_transpose_is_the_matrix():
    matrix, dense = example()
    transpose = matrix.transpose()
    assert torch.equal(transpose.to_dense(), dense.T)
    assert matrix.transpose() is transpose and transpose.transpose() is matrix


def test_matrices_go_when_nobody_holds_them():
    matrix, dense = example()
    (matrix @ dense.T.clone().requires_grad_()).sum().backward()
    transpose, reference = matrix.transpose(), weakref.ref(matrix)
    gc.disable()  # reference counting must suffice, because batches come faster than the collector
    try:
        del matrix
        assert reference() is None
    finally:
        gc.enable()
    assert torch.equal(transpose.transpose().to_dense(), dense)


def test_a_symmetric_matrix_is_its_own_transpose():
    dense = torch.tensor([[0.0, 2.0], [2.0, 1.0]])
    plain = SparseMatrix.from_dense(dense)
    matrix = SparseMatrix(plain.indptr, plain.indices, plain.values, plain.shape, symmetric=True)
    assert matrix.transpose() is matrix
    x = torch.randn(2, 3, requires_grad=True)
    (grad,) = torch.autograd.grad((matrix @ x)[0].sum(), x)
    torch.testing.assert_close(grad, dense[:1].T.expand(2, 3))


def test_other_values_share_the_structure_also_of_the_transpose():
    matrix, dense = example()
    matrix.transpose()
    other = matrix.with_values(matrix.values * 3)
    assert torch.equal(other.to_dense(), 3 * dense)
    assert torch.equal(other.transpose().to_dense(), 3 * dense.T)
    assert other.indptr is matrix.indptr and other.transpose().indices is matrix.transpose().indices


def test_rows_in_any_order_and_more_than_once():
    matrix, dense = example()
    index = torch.tensor([2, 1, 0, 2, 4])
    assert torch.equal(matrix.rows(index).to_dense(), dense[index])
    assert matrix.rows(torch.empty(0, dtype=torch.int64)).shape == (0, 4)


def test_autocast_computes_in_the_matrix_dtype():
    matrix, dense = example(torch.float32)
    x = torch.randn(4, 3).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        product = matrix @ x
        product.sum().backward()
    assert product.dtype == torch.float32 and x.grad.dtype == torch.bfloat16
    torch.testing.assert_close(product, dense @ x.detach().float())


def test_mixed_dtypes_compute_in_the_wider():
    matrix, dense = example(torch.float32)
    x = torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(matrix @ x, dense.double() @ x)


def test_moves_and_dtypes():
    matrix, dense = example()
    assert matrix.to("cpu") is matrix and matrix.to(dtype=torch.float64) is matrix
    assert torch.equal(matrix.to(dtype=torch.float32).to_dense(), dense.float())
    assert matrix.to("meta").device.type == "meta"


def test_pickling_drops_what_can_be_made_again():
    matrix, dense = example()
    matrix @ torch.ones(4, 1, dtype=torch.float64)
    bare = len(pickle.dumps(example()[0]))
    matrix.transpose()
    assert len(pickle.dumps(matrix)) == bare
    assert torch.equal(pickle.loads(pickle.dumps(matrix)).to_dense(), dense)


def test_wrong_sizes_are_said():
    matrix, _ = example()
    with pytest.raises(ValueError, match="a matrix 5 x 4 cannot multiply one of 5 rows"):
        matrix @ torch.ones(5, 1, dtype=torch.float64)


def test_numbers_are_counted_as_by_bincount():
    numbers = torch.randint(7, (50,), generator=torch.Generator().manual_seed(0))
    assert torch.equal(count(numbers, 9), torch.bincount(numbers, minlength=9)) and not count(numbers[:0], 3).any()
    assert torch.equal(count(numbers, 9, (numbers % 2)), torch.bincount(numbers[numbers % 2 == 1], minlength=9))
