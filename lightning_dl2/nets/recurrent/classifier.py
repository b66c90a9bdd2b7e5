"""Classify a sequence of tokens by a recurrent net.

Shapes: B batch, T steps, V vocabulary_size, E embedding_size, H hidden_size, N directions, C num_classes.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_dl2.nets.checks import check_choice
from lightning_dl2.nets.recurrent.initialization import initialize_linear
from lightning_dl2.nets.recurrent.layers import Recurrent, Trace

ENCODINGS = ("one_hot", "embedding", "scalar")


class RecurrentClassifier(nn.Module):
    """Map tokens [B, T] to logits [B, C]: encode, recur, and one linear layer over the final h of each direction.

    Args:
        encoding: `one_hot`; `embedding`, learnt, of `embedding_size` features; or `scalar`, the token as one
            number, as in the course's 2018 edition.
        embedding_size: read by `embedding` alone; V if None.
        output_bias: False leaves the linear layer's bias out, as the course's parameter counts do.
        initialization: of the recurrent and the linear layer.
        recurrent: `cell`, `hidden_size` and whatever else `Recurrent` takes.

    Raises:
        ValueError: an unknown `encoding`, or what `Recurrent` raises.
    """

    one_hot: Tensor

    def __init__(
        self,
        vocabulary_size: int,
        num_classes: int,
        *,
        encoding: str = "one_hot",
        embedding_size: int | None = None,
        output_bias: bool = True,
        initialization: str = "torch",
        **recurrent: Any,
    ):
        super().__init__()
        check_choice("encoding", encoding, ENCODINGS)
        self.encoding = encoding
        if encoding == "one_hot":
            input_size = vocabulary_size
            # looking rows up in the identity is faster than F.one_hot, whose integers need a cast
            self.register_buffer("one_hot", torch.eye(vocabulary_size), persistent=False)
        elif encoding == "embedding":
            input_size = embedding_size or vocabulary_size
            self.embedding = nn.Embedding(vocabulary_size, input_size)
        else:
            input_size = 1
        self.recurrent = Recurrent(input_size=input_size, initialization=initialization, **recurrent)
        num_features = self.recurrent.output_size * self.recurrent.num_directions
        self.output = nn.Linear(num_features, num_classes, bias=output_bias)
        initialize_linear(self.output, initialization)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T], int64, to logits [B, C]."""
        _, state = self.recurrent(self.encode(tokens))
        return self.output(self.recurrent.last(state))

    def explicit(self, tokens: Tensor) -> tuple[Tensor, Trace]:
        """Return the logits [B, C] by `Recurrent.explicit`, and its trace."""
        _, state, trace = self.recurrent.explicit(self.encode(tokens))
        return self.output(self.recurrent.last(state)), trace

    def encode(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T] to the recurrent layer's input, [B, T, D] with D = V, E or 1."""
        if self.encoding == "one_hot":
            return F.embedding(tokens, self.one_hot)
        if self.encoding == "embedding":
            return self.embedding(tokens)
        return tokens.unsqueeze(2).to(self.output.weight.dtype)
