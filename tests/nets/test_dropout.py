"""Test that dropout from few random bits has the distribution of dropout."""

import pytest
import torch
import torch.nn.functional as F

from lightning_dl2.nets.dropout import LEVELS, _random_int16, dropout


@pytest.mark.slow
def test_every_value_is_drawn_alike():
    """All 64 bits of a draw are used and fair, by counts of the top and the low bits."""
    torch.manual_seed(0)
    values = _random_int16(1 << 20).long() + LEVELS // 2
    for bit in range(16):
        assert abs((values >> bit & 1).float().mean() - 0.5) < 0.0025  # five standard deviations
    for place in range(4):  # place in a word of four values
        assert abs(values[place::4].float().mean() / (LEVELS - 1) - 0.5) < 0.003
    assert values.min() < 10 and values.max() > LEVELS - 11


@pytest.mark.parametrize("p", [0.1, 0.5, 0.6, 0.99])
def test_share_and_scale(p):
    torch.manual_seed(0)
    x = torch.ones(1000, 401)  # not a multiple of four
    y = dropout(x, p)
    kept = y != 0
    assert abs(kept.float().mean() - (1 - p)) < 5 * (p * (1 - p) / x.numel()) ** 0.5 + 1 / LEVELS
    assert torch.allclose(y[kept], torch.tensor(1 / (1 - p)), rtol=1e-3)
    neighbours = (kept[:, 1:] == kept[:, :-1]).float().mean()
    assert abs(neighbours - (p * p + (1 - p) ** 2)) < 0.005  # neighbours are independent


def test_gradient_passes_what_was_kept():
    x = torch.randn(7, 9, dtype=torch.float64, requires_grad=True)
    y = dropout(x, 0.5)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, torch.where(y != 0, 2.0, 0.0))


def test_follows_the_seed_and_the_dtype():
    def drawn(seed: int, dtype: torch.dtype) -> torch.Tensor:
        torch.manual_seed(seed)
        return dropout(torch.ones(50, dtype=dtype), 0.5)

    assert torch.equal(drawn(1, torch.float32), drawn(1, torch.float32))
    assert not torch.equal(drawn(1, torch.float32), drawn(2, torch.float32))
    assert drawn(1, torch.bfloat16).dtype == torch.bfloat16
    assert torch.equal(drawn(1, torch.bfloat16).double(), drawn(1, torch.float64))


def test_nothing_to_do():
    x = torch.randn(3)
    assert dropout(x, 0.5, training=False) is x and dropout(x, 0.0) is x
    assert torch.equal(dropout(x, 1.0), F.dropout(x, 1.0)) and dropout(torch.ones(0, 4), 0.5).shape == (0, 4)
    with pytest.raises(ValueError, match=r"p is 1\.5; it must be in \[0, 1\]"):
        dropout(x, 1.5)
