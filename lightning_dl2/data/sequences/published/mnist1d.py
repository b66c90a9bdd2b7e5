"""Draw MNIST-1D: ten digits as curves of a few points, moved, scaled, sheared and noisy, 40 steps of one number.

Source: Greydanus and Kobak, "Scaling Down Deep Learning with MNIST-1D", 2020, https://arxiv.org/abs/2011.14439.
Shapes: n sequences, T steps.
"""

import numpy as np

from lightning_dl2.data.sequences.sequence_task import Samples, SequenceTask

TEMPLATES = np.array(
    [
        [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
        [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
        [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
        [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
        [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
        [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
        [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
        [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
    ]
)
POINTS = TEMPLATES.shape[1]
PADDING = 36, 60  # fewest and most zeros behind a template, both included
WIDTH = POINTS + PADDING[1]  # points after the padding
SHIFTS = 48  # a digit moves by 0 to 47 points
SCALE, SHEAR = 0.4, 0.75  # ranges of a digit's size around 1, and of the slope of a sequence around 0
CORRELATED, SIGMA = 0.25, 2.0  # noise beside a digit, before it is smoothed by a Gaussian of this many points
WHITE = 0.02  # noise of each point
VISIBLE = 1e-8  # added to each template: a point of a digit is never 0, as the points beside it are
MEAN, STD = -0.00608, 0.15474  # of 40 steps, over a million sequences
PUBLISHED, TRAINING, SEED = 5000, 4000, 42  # sequences, those of training, and the seed of NumPy's older generator


def _curves() -> np.ndarray:
    """Return the templates with mean 0 and variance 1, moved to begin at 0, and divided by 6: [10, POINTS]."""
    curves = TEMPLATES - TEMPLATES.mean(1, keepdims=True)
    curves = curves / curves.std(1, keepdims=True)
    return (curves - curves[:, :1]) / 6 + VISIBLE


def _interpolation(points: int, found: int) -> np.ndarray:
    """Return the matrix [found, points] of the linear interpolation at equal distances from end to end."""
    places = np.linspace(0, points - 1, found)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(points)))


def _smoothing() -> np.ndarray:
    """Return the matrix [WIDTH, WIDTH] of a Gaussian of SIGMA points, cut at four sigmas, mirrored at both ends."""
    reach = int(4 * SIGMA + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SIGMA) ** 2)
    weights /= weights.sum()
    source = np.pad(np.arange(WIDTH), reach, mode="symmetric")
    matrix = np.zeros((WIDTH, WIDTH))
    for row in range(WIDTH):
        np.add.at(matrix[row], source[row : row + len(weights)], weights)
    return matrix


CURVES, SMOOTHING = _curves(), _smoothing()
STRETCHED = np.stack(  # of each number of zeros: what [POINTS] becomes as [WIDTH]
    [_interpolation(POINTS + zeros, WIDTH)[:, :POINTS] for zeros in range(PADDING[0], PADDING[1] + 1)]
)


def transform(
    digits: np.ndarray,
    zeros: np.ndarray,
    sizes: np.ndarray,
    shifts: np.ndarray,
    noise: np.ndarray,
    white: np.ndarray,
    shears: np.ndarray,
    steps: int,
) -> np.ndarray:
    """Return the sequences [n, steps] of digits [n], before they are given mean 0 and variance 1.

    Args:
        digits: 0 to 9.
        zeros: points behind the template, less PADDING[0], before it is stretched.
        sizes, shears: from -1/2 to 1/2, in units of SCALE and SHEAR.
        shifts: 0 to SHIFTS - 1.
        noise, white: standard normal, [n, WIDTH].
        steps: to which WIDTH points are interpolated.
    """
    found = np.einsum("nwp,np->nw", STRETCHED[zeros], CURVES[digits]) * (1 + SCALE * sizes[:, None])
    found = np.take_along_axis(found, (np.arange(WIDTH) - shifts[:, None]) % WIDTH, axis=1)
    found = np.where(found != 0, found, CORRELATED * noise @ SMOOTHING.T) + WHITE * white
    found -= SHEAR * shears[:, None] * np.linspace(-0.5, 0.5, WIDTH)
    result: np.ndarray = found @ _interpolation(WIDTH, steps).T
    return result


class MNIST1D(SequenceTask):
    """Name the digit that hides in a sequence of `length` numbers; 40 in the paper.

    The published set is drawn in the same way and then given mean 0 and variance 1 by its own 5000 sequences. Here
    these are constants, so that each sequence depends on the random numbers alone: see `published_set`.
    """

    minimum_length = 2
    features = 1

    def num_classes(self, length: int) -> int:
        return len(TEMPLATES)

    def majority_baseline(self, length: int) -> float:
        return 1 / len(TEMPLATES)

    def draw(self, rng: np.random.Generator, n: int, length: int) -> Samples:
        digits, zeros = rng.integers(len(TEMPLATES), size=n), rng.integers(len(STRETCHED), size=n)
        sizes, shifts = rng.random(n) - 0.5, rng.integers(SHIFTS, size=n)
        noise, white = rng.standard_normal((n, WIDTH)), rng.standard_normal((n, WIDTH))
        values = transform(digits, zeros, sizes, shifts, noise, white, rng.random(n) - 0.5, length)
        return ((values - MEAN) / STD).astype(np.float32)[:, :, None], digits


def published_set() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Draw the 4000 training and 1000 test sequences that were published, by their seed.

    They are rounded to six decimals, so that they are the same on every machine; the file has more digits.

    Returns:
        values [5000, 40], digits [5000], and the split of each: "train" or "test".
    """
    rng = np.random.RandomState(SEED)
    digits = np.repeat(np.arange(len(TEMPLATES)), PUBLISHED // len(TEMPLATES))
    parts = []
    for _ in digits:  # in the order in which the random numbers were drawn
        first = int(rng.rand() * len(STRETCHED)), rng.rand() - 0.5, rng.choice(SHIFTS)
        parts.append((*first, rng.randn(WIDTH), rng.randn(WIDTH), rng.rand() - 0.5))
    drawn = [np.array(part) for part in zip(*parts, strict=True)]
    order = rng.permutation(PUBLISHED)
    zeros, sizes, shifts, noise, white, shears = drawn
    values = transform(digits, zeros, sizes, shifts, noise, white, shears, 40)[order]
    values = np.round((values - values.mean()) / values.std(), 6)
    return values, digits[order], ["train"] * TRAINING + ["test"] * (PUBLISHED - TRAINING)
