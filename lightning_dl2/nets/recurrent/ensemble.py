"""Language models side by side, which answer together.

Shapes: K members, B batch, T steps, V vocabulary_size, L layers of a member, H hidden_size.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dl2.nets.recurrent.language_model import LanguageModel, Step
from lightning_dl2.nets.recurrent.layers import Recurrent, State, Trace, join_layers, split_layers


class Ensemble(nn.Module):
    """The logits are the mean of the members': softmax gives the geometric mean of their probabilities, normalised.

    Members that learn each by its own loss, as those of `each`, are wrong in different ways, and less so together
    (Hansen & Salamon 1990; Lakshminarayanan, Pritzel & Blundell 2017). In all else this is a LanguageModel whose state
    has the members' layers one after the other, [K*L, B, H].

    Args:
        members: of the same sizes; each has its own weights.

    Raises:
        ValueError: there are none.
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
        """The recurrent layers, member by member."""
        return [block for member in self.members for block in member.blocks]

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Tokens [B, T] and the state before them -> logits [B, T, V] and the state after them."""
        logits, state = self.each(tokens, state)
        return logits.mean(0), state

    def each(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """As `forward`, but the logits of every member, [K, B, T, V]."""
        logits, ends = self._run(self.members, tokens, state)
        return logits, join_layers(ends)

    def explicit(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, Trace]:
        """The logits [B, T, V] by `Recurrent.explicit`, and the trace of all layers, member by member."""
        logits, traces = self._run([member.explicit for member in self.members], tokens, state)
        return logits.mean(0), [layer for trace in traces for layer in trace]

    def stepper(self) -> Step:
        """`LanguageModel.stepper`."""
        steps = [member.stepper() for member in self.members]

        def step(tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
            logits, ends = self._run(steps, tokens, state)
            return logits.mean(0), join_layers(ends)

        return step

    def _run(
        self, paths: Iterable[Callable[..., Any]], tokens: Tensor, state: State | None
    ) -> tuple[Tensor, list[Any]]:
        """One path of each member, from its share of the state -> all logits, and what else each path returns."""
        starts = split_layers(state, self._num_layers)
        results = [path(tokens, start) for path, start in zip(paths, starts, strict=True)]
        return torch.stack([logits for logits, _ in results]), [other for _, other in results]


def members_of(net: nn.Module) -> list[nn.Module]:
    """The nets that stand side by side in an ensemble; of any other net, it alone."""
    return list(net.members) if isinstance(net, Ensemble) else [net]
