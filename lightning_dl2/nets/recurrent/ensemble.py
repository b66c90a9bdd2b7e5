"""Average the logits of several language models.

Shapes: K members, B batch, T steps, V vocabulary_size, L layers of a member, H hidden_size.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dl2.nets.recurrent.language_model import LanguageModel, Step
from lightning_dl2.nets.recurrent.layers import Recurrent, Trace
from lightning_dl2.nets.recurrent.states import State, join_layers, split_layers


class Ensemble(nn.Module):
    """Language models whose logits are averaged: softmax gives the normalised geometric mean of their probabilities.

    Members that each learn by their own loss, see `each`, make different errors, and the mean makes fewer (Hansen &
    Salamon 1990; Lakshminarayanan, Pritzel & Blundell 2017). The ensemble has a LanguageModel's methods; its state has
    the layers of the members, which are of equal size, one after the other, [K*L, B, H].

    Raises:
        ValueError: `members` is empty.
    """

    members: Any  # a ModuleList of LanguageModel: to a type checker its items are no more than modules

    def __init__(self, members: list[LanguageModel]) -> None:
        super().__init__()
        if not members:
            raise ValueError("members is empty; an ensemble has at least one")
        self.members = nn.ModuleList(members)
        self._num_layers = [sum(block.num_layers for block in member.blocks) for member in members]

    @property
    def blocks(self) -> list[Recurrent]:
        """Return the recurrent layers, member by member."""
        return [block for member in self.members for block in member.blocks]

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map tokens [B, T] and the state before them to logits [B, T, V] and the state after them."""
        logits, state = self.each(tokens, state)
        return logits.mean(0), state

    def each(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Do as `forward`, but return the logits of every member, [K, B, T, V]."""
        logits, ends = self._run(self.members, tokens, state)
        return logits, join_layers(ends)

    def explicit(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, Trace]:
        """Return the logits [B, T, V] by `Recurrent.explicit`, and the trace of all layers, member by member."""
        logits, traces = self._run([member.explicit for member in self.members], tokens, state)
        return logits.mean(0), [layer for trace in traces for layer in trace]

    def stepper(self) -> Step:
        """Return the fast path for one token at a time, see `LanguageModel.stepper`."""
        steps = [member.stepper() for member in self.members]

        def step(tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
            logits, ends = self._run(steps, tokens, state)
            return logits.mean(0), join_layers(ends)

        return step

    def _run(
        self, paths: Iterable[Callable[..., Any]], tokens: Tensor, state: State | None
    ) -> tuple[Tensor, list[Any]]:
        """Run one path of each member from its share of the state; return all logits, and the paths' second results."""
        starts = split_layers(state, self._num_layers)
        results = [path(tokens, start) for path, start in zip(paths, starts, strict=True)]
        return torch.stack([logits for logits, _ in results]), [other for _, other in results]


def members_of(net: nn.Module) -> list[nn.Module]:
    """Return the members of an ensemble; for any other net, the net alone."""
    return list(net.members) if isinstance(net, Ensemble) else [net]
