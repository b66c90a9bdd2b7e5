"""One token at a time through a language model, for generation: weights multiplied out and laid out once.

torch.nn.LSTM prepares its weights anew in each call, which for a single step costs more than the step. For a single
stream each call of torch counts as much as the sums in it: hence few of them, and none that does nothing.

Shapes: B batch, V vocabulary_size, L num_layers, H hidden_size, G gates of the cell.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_dl2.nets.recurrent import cells
from lightning_dl2.nets.recurrent.layers import Recurrent, State

if TYPE_CHECKING:
    from lightning_dl2.nets.recurrent.language_model import LanguageModel

Step = Callable[[Tensor, State | None], tuple[Tensor, State]]
Layer = Callable[..., tuple[Tensor, ...]]  # (input, *state of [B, H]) -> the new state, h first


@torch.no_grad()
def build_step(model: "LanguageModel") -> Step:
    """`LanguageModel.stepper`."""
    layers: list[tuple[Layer, torch.nn.Module | None]] = []
    for block, norm in zip(model.blocks, model.norms, strict=True):
        for index in range(block.num_layers):
            table = None if layers else model.embedding.weight
            last = index == block.num_layers - 1
            layers.append((_layer(block, index, table), _unless_identity(norm) if last else None))
    parts = len(model.blocks[0].cell.state)
    hidden_size, like = model.blocks[0].hidden_size, model.embedding.weight.detach()
    projection, skips = _unless_identity(model.projection), model.skip_connections
    weight, bias = model.output.weight.detach().t().contiguous(), model.output.bias.detach()

    def step(tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        if torch.is_grad_enabled():  # to ask is cheaper than to switch off what is off
            with torch.no_grad():
                return step(tokens, state)
        if state is None:
            zeros = like.new_zeros(len(layers), len(tokens), hidden_size)
            state = zeros if parts == 1 else (zeros, zeros)
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
    """One layer's step; the first reads tokens [B], the others the h [B, H] below them."""
    weights = {name: parameter.detach() for name, parameter in block.weights(index).items()}
    if block.cell is cells.LSTM:
        return _lstm(weights, embedding)
    cell: Any = block.cell
    names = cell.state

    def layer(x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        values = cell.step(weights, x if embedding is None else F.embedding(x, embedding), *state)
        return tuple(values[name] for name in names)

    return layer


def _lstm(w: cells.Weights, embedding: Tensor | None) -> Layer:
    """All four gates by one matrix and one sigmoid, since tanh(a) = 2 sigmoid(2a) - 1."""
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
