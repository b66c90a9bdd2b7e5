"""Predict the next token at each token by a recurrent net.

Shapes: B batch, T steps, V vocabulary_size, E embedding_size, L num_layers, H hidden_size, P projection_size.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_dl2.nets.checks import check_dropouts
from lightning_dl2.nets.dropout import dropout
from lightning_dl2.nets.recurrent import cells
from lightning_dl2.nets.recurrent.initialization import initialize_linear
from lightning_dl2.nets.recurrent.layers import Recurrent, Trace
from lightning_dl2.nets.recurrent.own_cells import INPUT_LENGTH, name_of, takes
from lightning_dl2.nets.recurrent.states import State, join_layers, split_layers

Step = Callable[[Tensor, State | None], tuple[Tensor, State]]
Layer = Callable[..., tuple[Tensor, ...]]  # (input, *state of [B, H]) -> the new state, h first


def check_reads_text(cell: Any) -> None:
    """Raise ValueError if a cell, as `find_cell` returns it, asks for the length of an input: a text has none."""
    if takes(cell, INPUT_LENGTH):
        raise ValueError(
            f"cell={name_of(cell)}: its step takes an input_length, which a text does not have; allowed: a cell without"
        )


class LanguageModel(nn.Module):
    """Map tokens [B, T] to logits [B, T, V]: embed, recur, and one linear layer at each step.

    Dropout acts where AWD-LSTM has it (Merity, Keskar & Socher 2018): on the embedded input, between layers, on the
    output, and on the recurrent matrices.

    Args:
        embedding_size: E; H if None.
        projection_size: P, of a linear layer between the last hidden state and the output; None leaves it out.
        tie_weights: the output layer is the embedding's matrix (Press & Wolf 2017); needs E equal to P, or to H
            without a projection (with skip connections L*H).
        layer_norm: normalises the outputs of each layer (Ba, Kiros & Hinton 2016), not the recurrence, which stays as
            the fused kernels compute it.
        skip_connections: the projection or output layer reads the outputs of all layers, L*H features, instead of the
            last layer's (Graves 2013, "Generating sequences with recurrent neural networks").
        input_dropout: probability, on the embedded tokens; likewise `dropout` between layers and `output_dropout`.
        locked_dropout: one mask for all steps of a window (Gal & Ghahramani 2016) instead of one a step.
        recurrent: arguments of `Recurrent`, such as `cell`.

    Raises:
        ValueError: sizes that do not fit tied weights, a probability outside of [0, 1), a bidirectional net (it would
            read what it predicts), a cell that takes an input's length, or what `Recurrent` raises.
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
        check_dropouts(input_dropout=input_dropout, dropout=dropout, output_dropout=output_dropout)
        if recurrent.get("bidirectional"):
            raise ValueError("bidirectional is True; a language model reads forwards only")
        embedding_size = hidden_size if embedding_size is None else embedding_size
        self.input_dropout, self.dropout, self.output_dropout = input_dropout, dropout, output_dropout
        self.locked_dropout, self.skip_connections = locked_dropout, skip_connections

        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        options = {"hidden_size": hidden_size, "initialization": initialization, **recurrent}
        # One fused stack, unless its layers have something between them that the stack cannot compute.
        apart = num_layers > 1 and (layer_norm or skip_connections or (locked_dropout and dropout > 0))
        if apart:
            blocks = [Recurrent(input_size=embedding_size, **options)]
            size = blocks[0].output_size
            blocks += [Recurrent(input_size=size, **options) for _ in range(num_layers - 1)]
        else:
            blocks = [Recurrent(input_size=embedding_size, num_layers=num_layers, dropout=dropout, **options)]
            size = blocks[0].output_size
        check_reads_text(blocks[0].cell)
        self.blocks = nn.ModuleList(blocks)
        read = size * num_layers if skip_connections else size
        features = read if projection_size is None else projection_size
        if tie_weights and features != embedding_size:
            raise ValueError(f"tie_weights: embedding_size is {embedding_size}; it must be {features}, as the output")
        self.norms = nn.ModuleList(nn.LayerNorm(size) if layer_norm else nn.Identity() for _ in self.blocks)
        self.projection: nn.Module = nn.Identity()
        if projection_size is not None:
            self.projection = projection = nn.Linear(read, projection_size)
            initialize_linear(projection, initialization)
        self.output = nn.Linear(features, vocabulary_size)
        initialize_linear(self.output, initialization)
        if tie_weights:
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)  # unit variance would be too much for an output layer
            self.output.weight = self.embedding.weight

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map tokens [B, T], int64, and the state before them to logits [B, T, V] and the state after them.

        A state is h [L, B, H], for the lstm and the peephole the tuple (h, c); zeros if None.
        """
        return self._run(lambda block, *args: block(*args), tokens, state)

    def each(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Do as `Ensemble.each` for an ensemble of one: logits [1, B, T, V]."""
        logits, state = self(tokens, state)
        return logits.unsqueeze(0), state

    def explicit(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, Trace]:
        """Return the logits [B, T, V] by `Recurrent.explicit`, and the trace of all layers."""
        trace: Trace = []

        def run(block: Recurrent, x: Tensor, start: State | None) -> tuple[Tensor, State]:
            x, end, seen = block.explicit(x, start)
            trace.extend(seen)
            return x, end

        logits, _ = self._run(run, tokens, state)
        return logits, trace

    def _run(self, run: Callable[..., Any], tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Do as `forward`, with run(block, x, state) -> outputs, state for each block."""
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
        """Return the fast path for one token at a time: step(tokens [B], state | None) -> logits [B, V], state.

        It holds a copy of the present weights, multiplied out where that saves work, and has no dropout or gradient.
        """
        return _build_step(copy.deepcopy(self))

    def _drop(self, x: Tensor, p: float) -> Tensor:
        if not (self.training and p):
            return x
        if not self.locked_dropout:
            return dropout(x, p)
        return x * dropout(x.new_ones(x.shape[0], 1, x.shape[2]), p)


@torch.no_grad()
def _build_step(model: LanguageModel) -> Step:
    """Build the step of `LanguageModel.stepper`.

    torch.nn.LSTM prepares its weights anew in each call, which costs more than a single step: here it is done once. For
    one stream a call of torch costs as much as the sums in it: hence few calls, and none that does nothing.
    """
    layers: list[tuple[Layer, torch.nn.Module | None]] = []
    for block, norm in zip(model.blocks, model.norms, strict=True):
        for index in range(block.num_layers):
            table = None if layers else model.embedding.weight
            last = index == block.num_layers - 1
            layers.append((_layer(block, index, table), _unless_identity(norm) if last else None))
    parts = len(model.blocks[0].cell.state)
    shapes, like = tuple(model.blocks[0].state_shapes.values()), model.embedding.weight.detach()
    projection, skips = _unless_identity(model.projection), model.skip_connections
    weight, bias = model.output.weight.detach().t().contiguous(), model.output.bias.detach()

    def step(tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        if torch.is_grad_enabled():  # asking is cheaper than entering no_grad in each step
            with torch.no_grad():
                return step(tokens, state)
        if state is None:
            zeros = tuple(like.new_zeros(len(layers), len(tokens), *shape) for shape in shapes)
            state = zeros[0] if parts == 1 else zeros
        before = (state,) if parts == 1 else state
        after, outputs = [], []
        x = tokens
        for number, (layer, norm) in enumerate(layers):
            new = layer(x, *[part[number] for part in before])
            after.append(new)
            x = new[0] if norm is None else norm(new[0])
            if skips:
                outputs.append(x)
        if skips:
            x = torch.cat(outputs, dim=1)
        if projection is not None:
            x = projection(x)
        logits = torch.addmm(bias, x, weight)
        if len(layers) == 1:
            joined = tuple(part.unsqueeze(0) for part in after[0])
        else:
            joined = tuple(map(torch.stack, zip(*after, strict=True)))
        return logits, joined[0] if parts == 1 else joined

    return step


def _unless_identity(module: torch.nn.Module) -> torch.nn.Module | None:
    return None if isinstance(module, torch.nn.Identity) else module


def _layer(block: Recurrent, index: int, embedding: Tensor | None) -> Layer:
    """Build one layer's step; the first layer reads tokens [B], the others the h [B, H] below them."""
    cell, weights = block.cell, block.part(index)
    if isinstance(weights, dict):
        weights = {name: parameter.detach() for name, parameter in weights.items()}
    if cell is cells.LSTM:
        return _lstm(weights, embedding)
    if prepare := getattr(cell, "prepare", None):
        weights = prepare(weights)

    def layer(x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        values = cell.step(weights, x if embedding is None else F.embedding(x, embedding), *state)
        return tuple(values[name] for name in cell.state)

    return layer


def _lstm(w: cells.Weights, embedding: Tensor | None) -> Layer:
    """Compute all four gates by one matrix and one sigmoid, since tanh(a) = 2 sigmoid(2a) - 1."""
    hidden_size = w["weight_hh"].shape[1]
    scale = w["weight_hh"].new_ones(4 * hidden_size, 1)
    scale[2 * hidden_size : 3 * hidden_size] = 2
    bias = (w["bias_ih"] + w["bias_hh"]) * scale[:, 0] if "bias_ih" in w else scale.new_zeros(4 * hidden_size)
    weight_ih, weight_hh = w["weight_ih"] * scale, w["weight_hh"] * scale
    if embedding is None:
        both = torch.cat([weight_ih, weight_hh], dim=1).t().contiguous()
    else:
        table = F.linear(embedding.detach(), weight_ih, bias)  # [V, 4H]: the input's share of every token
        recurrent = weight_hh.t().contiguous()

    def layer(x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        if embedding is None:
            gates = torch.addmm(bias, torch.cat([x, h], dim=1), both)
        else:
            gates = torch.addmm(table.index_select(0, x), h, recurrent)
        i, f, g, o = gates.sigmoid_().chunk(4, 1)
        c = torch.addcmul(f * c, i, g, value=2).sub_(i)
        return torch.tanh(c).mul_(o), c

    return layer
