"""Read a sequence of tokens, or of real vectors, by a recurrent net: name a class, a number, or a class at each step.

Shapes: B batch, T steps, V vocabulary_size, F features, E embedding_size, H hidden_size, N directions, C num_classes.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_dl2.nets.checks import check_choice
from lightning_dl2.nets.recurrent.initialization import initialize_linear
from lightning_dl2.nets.recurrent.layers import Recurrent, Trace
from lightning_dl2.nets.recurrent.lengths import last_outputs
from lightning_dl2.nets.recurrent.states import State

TOKEN_ENCODINGS = ("one_hot", "embedding", "scalar")
VECTOR_ENCODINGS = ("none", "linear")
ENCODINGS = (*TOKEN_ENCODINGS, *VECTOR_ENCODINGS)


class RecurrentReader(nn.Module):
    """Encode, recur, and one linear layer; a subclass says of which outputs of the recurrent layer.

    Args:
        vocabulary_size: V; None: the inputs are real vectors.
        num_classes: C.
        features: F, of real vectors; None: the inputs are tokens.
        has_unknown: a token V, of a symbol that training does not have, is encoded as zeros.
        encoding: of tokens `one_hot`; `embedding`, learnt, of `embedding_size` features; or `scalar`, the token as one
            number, as in the course's 2018 edition. Of real vectors `none`, as they are; or `linear`, a learnt map to
            `embedding_size` features.
        embedding_size: read by `embedding` and `linear` alone; V or F if None.
        output_bias: False leaves the linear layer's bias out, as the course's parameter counts do.
        initialization: of the recurrent and the linear layer.
        recurrent: `cell`, `hidden_size` and whatever else `Recurrent` takes.

    Raises:
        ValueError: an unknown `encoding`, or what `Recurrent` raises.
    """

    one_hot: Tensor

    def __init__(
        self,
        vocabulary_size: int | None,
        num_classes: int,
        *,
        features: int | None = None,
        has_unknown: bool = False,
        encoding: str = "one_hot",
        embedding_size: int | None = None,
        output_bias: bool = True,
        initialization: str = "torch",
        **recurrent: Any,
    ):
        super().__init__()
        check_choice("encoding", encoding, ENCODINGS)
        self.encoding, input_size = encoding, 1
        size = vocabulary_size if features is None else features
        if size is None or (encoding in VECTOR_ENCODINGS) != (features is not None):
            kind, fits = ("tokens", TOKEN_ENCODINGS) if features is None else ("real vectors", VECTOR_ENCODINGS)
            raise ValueError(f"encoding is {encoding!r}; with {kind} it must be one of {', '.join(fits)}")
        if encoding in ("one_hot", "none"):
            input_size = size
        elif encoding in ("embedding", "linear"):
            input_size = embedding_size or size
        if encoding == "one_hot":
            # looking rows up in the identity is faster than F.one_hot, whose integers need a cast
            self.register_buffer("one_hot", torch.eye(size + has_unknown, size), persistent=False)
        elif encoding == "embedding":
            self.embedding = nn.Embedding(size + has_unknown, input_size, padding_idx=size if has_unknown else None)
        elif encoding == "linear":
            self.linear = nn.Linear(size, input_size)
            initialize_linear(self.linear, initialization)
        self.recurrent = Recurrent(input_size=input_size, initialization=initialization, **recurrent)
        num_features = self.recurrent.output_size * self.recurrent.num_directions
        self.output = nn.Linear(num_features, num_classes, bias=output_bias)
        initialize_linear(self.output, initialization)

    def explicit(
        self, tokens: Tensor, lengths: Tensor | None = None, input_lengths: Tensor | None = None
    ) -> tuple[Tensor, Trace]:
        """Return the logits of `forward` by `Recurrent.explicit`, and its trace."""
        outputs, state, trace = self.recurrent.explicit(
            self.encode(tokens), lengths=lengths, input_lengths=input_lengths
        )
        return self.answer(self.read(outputs, state, lengths)), trace

    def forward(self, tokens: Tensor, lengths: Tensor | None = None, input_lengths: Tensor | None = None) -> Tensor:
        """Map tokens [B, T], int64, or real vectors [B, T, F], to logits.

        Args:
            tokens: may be padded behind their ends, with anything that is encoded to finite numbers.
            lengths: steps of each sequence, int64 [B]; None: all have T.
            input_lengths: as of `Recurrent.forward`.
        """
        outputs, state = self.recurrent(self.encode(tokens), lengths=lengths, input_lengths=input_lengths)
        return self.answer(self.read(outputs, state, lengths))

    def answer(self, features: Tensor) -> Tensor:
        """Map what the linear layer reads to the net's answer."""
        return self.output(features)

    def read(self, outputs: Tensor, state: State, lengths: Tensor | None) -> Tensor:
        """Return what the linear layer reads, of the recurrent layer's outputs [B, T, H*N] and final state."""
        raise NotImplementedError

    def encode(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T], or real vectors, to the recurrent layer's input, [B, T, D] with D = V, F, E or 1."""
        if self.encoding in VECTOR_ENCODINGS:
            vectors = tokens.to(self.output.weight.dtype)
            return self.linear(vectors) if self.encoding == "linear" else vectors
        if self.encoding == "one_hot":
            return F.embedding(tokens, self.one_hot)
        if self.encoding == "embedding":
            return self.embedding(tokens)
        return tokens.unsqueeze(2).to(self.output.weight.dtype)


class RecurrentClassifier(RecurrentReader):
    """Map tokens [B, T] to logits [B, C]: the linear layer reads the final h of each direction.

    The arguments are those of RecurrentReader.
    """

    def read(self, outputs: Tensor, state: State, lengths: Tensor | None) -> Tensor:
        if lengths is None:
            return self.recurrent.last(state)
        return last_outputs(outputs, lengths, self.recurrent.num_directions)


class RecurrentRegressor(RecurrentClassifier):
    """Map tokens [B, T] to real numbers [B]: the linear layer, of one output, reads the final h of each direction.

    Args:
        vocabulary_size: V; None: the inputs are real vectors.
        mean: of the numbers to be learnt; the output's 0 means this one.
        scale: of the numbers; the output's 1 is so far from its 0.
        options: the other arguments of RecurrentReader.
    """

    def __init__(self, vocabulary_size: int | None, *, mean: float = 0.0, scale: float = 1.0, **options: Any):
        super().__init__(vocabulary_size, 1, **options)
        self.mean, self.scale = mean, scale

    def answer(self, features: Tensor) -> Tensor:
        return self.output(features)[..., 0] * self.scale + self.mean


class RecurrentTransducer(RecurrentReader):
    """Map tokens [B, T] to logits [B, T, C]: the linear layer reads the h of every position, in each direction.

    Behind the end of a sequence the logits mean nothing. The arguments are those of RecurrentReader.
    """

    def read(self, outputs: Tensor, state: State, lengths: Tensor | None) -> Tensor:
        return outputs
