"""Find stop strings, sequences of tokens that end a text."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Stops:
    """Stop strings, to be compared with the end of a text."""

    def __init__(self, strings: Sequence[Sequence[int]]):
        self.strings = sorted({tuple(string) for string in strings}, key=len, reverse=True)
        self.beginnings = {string[:k] for string in self.strings for k in range(1, len(string))}

    def __bool__(self) -> bool:
        return bool(self.strings)

    def completed(self, tokens: list[int]) -> int:
        """Return the length of the longest stop string that `tokens` end with; 0: none."""
        for string in self.strings:
            if tokens[-1] == string[-1] and tuple(tokens[-len(string) :]) == string:
                return len(string)
        return 0

    def begun(self, tokens: list[int]) -> int:
        """Return the largest number of last tokens that may begin a stop string."""
        longest = min(len(self.strings[0]) - 1, len(tokens)) if self.strings else 0
        return next((k for k in range(longest, 0, -1) if tuple(tokens[-k:]) in self.beginnings), 0)

    def completing(self, tokens: Tensor, vocabulary_size: int) -> Tensor:
        """Map texts [..., t] to [..., V], bool: the next tokens that would complete a stop string."""
        found = torch.zeros(*tokens.shape[:-1], vocabulary_size, dtype=torch.bool, device=tokens.device)
        for string in self.strings:
            start = tokens.shape[-1] - (len(string) - 1)
            if start >= 0:
                begun = (tokens[..., start:] == tokens.new_tensor(string[:-1])).all(-1)
                found[..., string[-1]] |= begun
        return found
