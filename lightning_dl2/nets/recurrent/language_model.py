"""A recurrent net that reads tokens and, at each of them, predicts the next.

Shapes: B batch, T steps, V vocabulary_size, E embedding_size, L num_layers, H hidden_size, P projection_size.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dl2.nets.dropout import dropout
from lightning_dl2.nets.recurrent.initialization import initialize_linear
from lightning_dl2.nets.recurrent.layers import Recurrent, State, Trace, join_layers, split_layers
from lightning_dl2.nets.recurrent.stepper import Step, build_step


class LanguageModel(nn.Module):
    """Tokens [B, T] -> logits [B, T, V]: embed, recur, and one linear layer at each step.

    Dropout stands where AWD-LSTM has it (Merity, Keskar & Socher 2018): on the embedded input, between layers, on
    the output, and on the recurrent matrices.

    Args:
        embedding_size: E; H if None.
        projection_size: P, a linear layer between the last hidden state and the output; None: there is none.
        tie_weights: the output layer is the embedding's matrix (Press & Wolf 2017); needs E equal to P, or to H
            without a projection (with skip connections L*H).
        layer_norm: normalises the outputs of each layer (Ba, Kiros & Hinton 2016); the recurrence itself is left as
            the fused kernels compute it.
        skip_connections: the projection or output layer reads the outputs of all layers, L*H features, not those of
            the last one alone (Graves 2013, "Generating sequences with recurrent neural networks").
        input_dropout: probability, on the embedded tokens; likewise `dropout` between layers and `output_dropout`.
        locked_dropout: one mask for all steps of a window (Gal & Ghahramani 2016) instead of one a step.
        recurrent: `cell` and whatever else `Recurrent` takes.

    Raises:
        ValueError: sizes that do not fit for tied weights, a probability outside of [0, 1), a bidirectional net (it
            would see what it is to predict), or what `Recurrent` raises.
    """

    blocks: Any  # a ModuleList of Recurrent: to a type checker its items are no more than modules

    def __init__(
        self,
        vocabulary_size: int,
        *,
        hidden_size: int,
        num_layers: int = 1,
        embedding_size: int | None = None,
        projection_size: int | None = None,
        tie_weights: bool = False,
        layer_norm: bool = False,
        skip_connections: bool = False,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        output_dropout: float = 0.0,
        locked_dropout: bool = False,
        initialization: str = "torch",
        **recurrent: Any,
    ):
        super().__init__()
        for name, p in (("input_dropout", input_dropout), ("dropout", dropout), ("output_dropout", output_dropout)):
            if not 0 <= p < 1:
                raise ValueError(f"{name} is {p}; it must be in [0, 1)")
        if recurrent.get("bidirectional"):
            raise ValueError("bidirectional is True; a language model reads forwards only")
        embedding_size = hidden_size if embedding_size is None else embedding_size
        read = hidden_size * num_layers if skip_connections else hidden_size
        features = read if projection_size is None else projection_size
        if tie_weights and features != embedding_size:
            raise ValueError(f"tie_weights: embedding_size is {embedding_size}; it must be {features}, as the output")
        self.input_dropout, self.dropout, self.output_dropout = input_dropout, dropout, output_dropout
        self.locked_dropout, self.skip_connections = locked_dropout, skip_connections

        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        options = {"hidden_size": hidden_size, "initialization": initialization, **recurrent}
        # One fused stack, unless something that it does not compute stands between its layers.
        apart = num_layers > 1 and (layer_norm or skip_connections or (locked_dropout and dropout > 0))
        if apart:
            sizes = [embedding_size] + [hidden_size] * (num_layers - 1)
            self.blocks = nn.ModuleList(Recurrent(input_size=size, **options) for size in sizes)
        else:
            self.blocks = nn.ModuleList(
                [Recurrent(input_size=embedding_size, num_layers=num_layers, dropout=dropout, **options)]
            )
        norms = (nn.LayerNorm(hidden_size) if layer_norm else nn.Identity() for _ in self.blocks)
        self.norms = nn.ModuleList(norms)
        self.projection: nn.Module = nn.Identity()
        if projection_size is not None:
            self.projection = projection = nn.Linear(read, projection_size)
            initialize_linear(projection, initialization)
        self.output = nn.Linear(features, vocabulary_size)
        initialize_linear(self.output, initialization)
        if tie_weights:
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)  # as an output layer, unit variance is too much
            self.output.weight = self.embedding.weight

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Tokens [B, T], int64, read from `state` on -> logits [B, T, V] and the state after the last token.

        Args:
            state: h [L, B, H], for the lstm and the peephole the tuple (h, c); zeros if None.
        """
        return self._run(lambda block, *args: block(*args), tokens, state)

    def each(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """`forward` as of an ensemble of one (see `Ensemble.each`): logits [1, B, T, V]."""
        logits, state = self(tokens, state)
        return logits.unsqueeze(0), state

    def explicit(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, Trace]:
        """The logits [B, T, V] by `Recurrent.explicit`, and the trace of all layers."""
        trace: Trace = []

        def run(block: Recurrent, x: Tensor, start: State | None) -> tuple[Tensor, State]:
            x, end, seen = block.explicit(x, start)
            trace.extend(seen)
            return x, end

        logits, _ = self._run(run, tokens, state)
        return logits, trace

    def _run(self, run: Callable[..., Any], tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        """`forward`, each block by run(block, x, state) -> outputs, state."""
        x = self._drop(self.embedding(tokens), self.input_dropout)
        starts = split_layers(state, [block.num_layers for block in self.blocks])
        outputs, final = [], []
        for index, (block, norm, start) in enumerate(zip(self.blocks, self.norms, starts, strict=True)):
            if index:
                x = self._drop(x, self.dropout)
            x, end = run(block, x, start)
            x = norm(x)
            outputs.append(x)
            final.append(end)
        if self.skip_connections:
            x = torch.cat(outputs, dim=2)
        x = self.projection(self._drop(x, self.output_dropout))
        return self.output(x), join_layers(final)

    def stepper(self) -> Step:
        """The fast path for one token at a time: step(tokens [B], state | None) -> logits [B, V], state.

        Holds a copy of the weights as they are now, multiplied out where that saves work; no dropout, no gradient.
        """
        return build_step(copy.deepcopy(self))

    def _drop(self, x: Tensor, p: float) -> Tensor:
        if not (self.training and p):
            return x
        if not self.locked_dropout:
            return dropout(x, p)
        return x * dropout(x.new_ones(x.shape[0], 1, x.shape[2]), p)
