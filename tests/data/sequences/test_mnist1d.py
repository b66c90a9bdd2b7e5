"""Test MNIST-1D: each sequence by its definition in plain steps, and the published set by numbers of its file."""

import math

import numpy as np
import pytest

from lightning_dl2 import LabelledSequenceDataModule, compose
from lightning_dl2.common.errors import UserError
from lightning_dl2.data.sequences.published.mnist1d import (
    MEAN,
    MNIST1D,
    STD,
    TEMPLATES,
    WIDTH,
    published_set,
    transform,
)
from tests.small import small_data


def interpolated(values, points):
    return np.interp(np.linspace(0, 1, points), np.linspace(0, 1, len(values)), values)


def by_definition(digit, zeros, size, shift, noise, white, shear):
    """Pad, stretch, scale, shift, add noise beside the digit and everywhere, shear, and sample 40 points."""
    curve = (TEMPLATES[digit] - TEMPLATES[digit].mean()) / TEMPLATES[digit].std()
    curve = [(value - curve[0]) / 6 + 1e-8 for value in curve] + [0.0] * (36 + zeros)
    points = [(1 + 0.4 * size) * value for value in interpolated(curve, 72)]
    points = points[72 - shift :] + points[: 72 - shift]
    weights = [math.exp(-(step**2) / 8) for step in range(-8, 9)]
    mirrored = [*noise[:8][::-1], *noise, *noise[-8:][::-1]]
    smooth = [
        0.25 * sum(w * x for w, x in zip(weights, mirrored[place : place + 17], strict=True)) / sum(weights)
        for place in range(72)
    ]
    found = [point if point != 0 else other for point, other in zip(points, smooth, strict=True)]
    found = [value + 0.02 * other for value, other in zip(found, white, strict=True)]
    return interpolated([value - 0.75 * shear * (place / 71 - 0.5) for place, value in enumerate(found)], 40)


def test_a_sequence_follows_its_definition():
    rng = np.random.default_rng(0)
    digits, zeros, shifts = np.arange(10), np.array([0, 24, *rng.integers(25, size=8)]), rng.integers(48, size=10)
    shifts[:2] = 0, 47
    sizes, shears = rng.random(10) - 0.5, rng.random(10) - 0.5
    noise, white = rng.standard_normal((10, WIDTH)), rng.standard_normal((10, WIDTH))
    found = transform(digits, zeros, sizes, shifts, noise, white, shears, 40)
    for row, parts in zip(found, zip(digits, zeros, sizes, shifts, noise, white, shears, strict=True), strict=True):
        assert row == pytest.approx(by_definition(*(np.asarray(part).tolist() for part in parts)), abs=1e-12)


def test_the_published_set_is_that_of_its_file():
    """The numbers are those of mnist1d_data.pkl, https://github.com/greydanus/mnist1d, 2020."""
    values, digits, splits = published_set()
    assert values.shape == (5000, 40) and splits == ["train"] * 4000 + ["test"] * 1000
    assert digits[:12].tolist() == [2, 6, 4, 5, 6, 6, 6, 0, 3, 1, 6, 9]
    assert digits[4000:4012].tolist() == [2, 6, 3, 9, 4, 3, 1, 9, 5, 2, 0, 7]
    assert values[0, :4].tolist() == [-0.332006, -0.47191, -0.778697, -1.009741]
    assert values[3999, -4:].tolist() == [-0.813744, -1.216245, -1.464942, -1.650993]
    assert values[4000, :4].tolist() == [-0.078771, -0.210732, -0.091751, 0.282671]
    assert values[-1, -4:].tolist() == [0.447233, 0.659876, 0.877734, 1.193152]


def test_drawn_sequences_have_mean_0_and_variance_1_and_all_digits():
    values, digits = MNIST1D().draw(np.random.default_rng(0), 4000, 40)
    assert values.dtype == np.float32 and values.shape == (4000, 40, 1) and {*digits} == {*range(10)}
    assert abs(values.mean()) < 0.02 and values.std() == pytest.approx(1, abs=0.02)
    raw, _, _ = published_set()
    assert np.abs(np.sort(raw[:4000].ravel())[::1000] - np.sort(values.ravel())[::1000]).mean() < 0.03
    assert STD == pytest.approx(0.1547, abs=1e-3) and abs(MEAN) < 0.01


def test_the_data_modules_serve_both():
    data = LabelledSequenceDataModule.from_mnist1d(batch_size=8)
    assert [data.count_items(split) for split in ("train", "val", "test")] == [3601, 399, 1000]
    assert data.class_names == [*"0123456789"] and data.train_batch(0).tokens.shape == (8, 40, 1)
    drawn = small_data("mnist1d_drawn", 40)
    tokens, labels = drawn.train_batch(0)
    assert tokens.shape == (8, 40, 1) and tokens.dtype.is_floating_point and labels.shape == (8,)
    assert drawn.spec == {"features": 1, "num_classes": 10, "sequence_length": 40, "majority_baseline": 0.1}


@pytest.mark.slow
def test_the_published_set_has_a_split_of_its_own():
    with pytest.raises(UserError, match="data.test_fraction=0.5: there is no key"):
        compose("experiment=mnist1d", "data.test_fraction=0.5")
    with pytest.raises(UserError, match="task.encoding=one_hot: data=mnist1d are real vectors; allowed: none, linear"):
        compose("experiment=mnist1d", "task.encoding=one_hot")
