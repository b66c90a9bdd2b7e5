"""A curriculum over sequence length: short sequences first, longer ones as they are learnt."""

from typing import Any

import numpy as np


class Curriculum:
    """Grows the length by a factor whenever the moving training accuracy passes a threshold.

    The whole state is (length, accuracy), so a resumed run goes on exactly.

    Args:
        target: the length to reach, counted as the task's sequence_length.
        start: the first length.
        growth: the next length is this many times the last, rounded down, and at least one more.
        threshold: moving accuracy at which the length grows.
        smoothing: weight of the past in the moving accuracy, in [0, 1).
        shortest: each batch's length is drawn between this share of the current length (but not below `start`) and
            all of it; 1: all of it.
        tokens_per_batch: the batch shrinks with growing length to about so many tokens; None: it does not.
        minimum_batch_size: but never below this.
    """

    def __init__(
        self,
        target: int,
        *,
        start: int,
        growth: float,
        threshold: float,
        smoothing: float,
        shortest: float = 1.0,
        tokens_per_batch: int | None,
        minimum_batch_size: int,
    ) -> None:
        self.target, self.growth, self.threshold, self.smoothing = target, growth, threshold, smoothing
        self.shortest = shortest
        self.tokens_per_batch, self.minimum_batch_size = tokens_per_batch, minimum_batch_size
        self.minimum = min(start, target)
        self.length, self.accuracy = self.minimum, 0.0

    def draw_length(self, *numbers: int) -> int:
        """The length of one batch, a function of the current length and of `numbers`, such as (seed, step)."""
        shortest = min(self.length, max(self.minimum, round(self.shortest * self.length)))
        if shortest == self.length:
            return self.length
        return int(np.random.default_rng(numbers).integers(shortest, self.length, endpoint=True))

    def batch_size(self, full: int, num_tokens: int) -> int:
        """Sequences in a batch of sequences of `num_tokens` tokens; `full` for short ones."""
        if self.tokens_per_batch is None:
            return full
        return min(full, max(self.minimum_batch_size, self.tokens_per_batch // num_tokens))

    def update(self, accuracy: float) -> None:
        """Takes in the accuracy of one training batch, averaged over all ranks."""
        self.accuracy = self.smoothing * self.accuracy + (1 - self.smoothing) * accuracy
        if self.accuracy >= self.threshold and self.length < self.target:
            self.length = min(self.target, max(self.length + 1, int(self.length * self.growth)))
            self.accuracy = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"length": self.length, "accuracy": self.accuracy}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.length, self.accuracy = state["length"], state["accuracy"]
