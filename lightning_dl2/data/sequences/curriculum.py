"""Curriculum over the sequence length: short sequences first, longer ones as they are learnt."""

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

ROUNDING = 1e-9  # rounding keeps the moving average of perfect batches below 1


@dataclass(eq=False)
class Curriculum:
    """Grow the length by a factor whenever the moving training accuracy reaches a threshold.

    The state is (length, accuracy, steps at the full length); checkpoints hold it.

    Args:
        target: the last length, counted as the task's sequence_length.
        start: the first length.
        growth: factor from one length to the next, rounded down; the length grows by at least one.
        threshold: moving accuracy at which the length grows.
        smoothing: weight of the past in the moving accuracy, in [0, 1).
        shortest: each batch's length is drawn between this share of the current length (at least `start`) and the
            current length; 1: always the current length.
        tokens_per_batch: the batch size falls with the length, to about this product; None: it is constant.
        minimum_batch_size: lower limit of it.
        full_rate_length: beyond this length the learning rate falls with the square root of the length; None: never.
        final_steps: steps at the full length in which the learning rate falls to a hundredth, as a cosine; None: it
            does not fall.
    """

    target: int
    _: KW_ONLY
    start: int
    growth: float
    threshold: float
    smoothing: float
    shortest: float = 1.0
    tokens_per_batch: int | None
    minimum_batch_size: int
    full_rate_length: int | None = None
    final_steps: int | None = None

    def __post_init__(self) -> None:
        self.minimum = min(self.start, self.target)
        self.length, self.accuracy, self.steps_at_target = self.minimum, 0.0, 0

    def draw_length(self, *numbers: int) -> int:
        """Draw the length of one batch, a function of the current length and of `numbers`, such as (seed, step)."""
        shortest = min(self.length, max(self.minimum, round(self.shortest * self.length)))
        if shortest == self.length:
            return self.length
        return int(np.random.default_rng(numbers).integers(shortest, self.length, endpoint=True))

    def batch_size(self, full: int, num_tokens: int) -> int:
        """Return the batch size for sequences of `num_tokens` tokens; `full` for short ones."""
        if self.tokens_per_batch is None:
            return full
        return min(full, max(self.minimum_batch_size, self.tokens_per_batch // num_tokens))

    def rate_factor(self) -> float:
        """Return the factor of the learning rate of the next step."""
        factor = 1.0
        if self.full_rate_length is not None:
            factor *= min(1.0, self.full_rate_length / self.length) ** 0.5
        if self.final_steps is not None:
            progress = min(1.0, self.steps_at_target / self.final_steps)
            factor *= 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2
        return factor

    def update(self, accuracy: float, *, stepped: bool = True) -> None:
        """Record the accuracy of one training batch, averaged over all ranks, and whether the optimiser stepped."""
        self.steps_at_target += stepped and self.length == self.target
        self.accuracy = self.smoothing * self.accuracy + (1 - self.smoothing) * accuracy
        if self.accuracy >= self.threshold - ROUNDING and self.length < self.target:
            self.length = min(self.target, max(self.length + 1, int(self.length * self.growth)))
            self.accuracy = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"length": self.length, "accuracy": self.accuracy, "steps_at_target": self.steps_at_target}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.length, self.accuracy = state["length"], state["accuracy"]
        self.steps_at_target = state["steps_at_target"]
