"""Hide symbols from a net that it could know: those that the string so far leaves no choice of.

A net that reads ``ab#ba`` sees the second half, and need not remember the first. A hidden symbol has to come out of its
memory. Scheduled sampling (Bengio et al. 2015, https://arxiv.org/abs/1506.03099) also replaces symbols in training, by
the net's own, and more of them as training goes on; here it is fewer.

Shapes: B strings, T places.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.data.splits import SPLITS

HIDDEN = 0, 1  # in place of a length in the entropy, and one number more than any other draw has: streams never meet


class HiddenSymbols(NamedTuple):
    """Say when symbols are hidden in training: at first all that can be, then fewer at each step, at last none.

    Attributes:
        steps: how many have all of them hidden.
        falling_steps: in which the share of those that are hidden falls to 0, after these.
    """

    steps: int
    falling_steps: int

    def share(self, step: int) -> float:
        """Return the probability with which a symbol is hidden at training step `step`, from 1 down to 0."""
        if step < self.steps:
            return 1.0
        return max(0.0, 1 - (step - self.steps) / self.falling_steps) if self.falling_steps else 0.0

    def choose(self, known: Tensor, *, seed: int, step: int) -> Tensor:
        """Choose which of the symbols that can be hidden are, as a pure function of the arguments.

        Args:
            known: whether a symbol can be, bool [B, T].
            seed, step: of the draw.

        Returns:
            Whether it is, bool [B, T].
        """
        share = self.share(step)
        if share in (0, 1):
            return known & bool(share)
        rng = np.random.default_rng((seed, SPLITS.index("train"), step, *HIDDEN))
        return known & torch.from_numpy(rng.random(tuple(known.shape)) < share)
