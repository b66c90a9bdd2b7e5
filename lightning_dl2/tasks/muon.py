"""Muon: momentum, orthogonalised, for the matrices of hidden layers."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dl2.nets.recurrent import Recurrent

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan: steep at 0, singular values end between 0.7 and 1.2
STEPS = 5
ADAM_RMS = 0.2  # of an update of AdamW at learning rate 1, about (Liu et al. 2025)


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) for groups of parameters that have `blocks`, torch's AdamW for all the others.

    A matrix moves along the orthogonal factor of its momentum, so that all of its directions learn, however small
    their share of the gradient. The update is scaled to the size of AdamW's (Liu et al. 2025, "Muon is scalable for
    LLM training"): one learning rate and one weight decay serve both.

    `torch.optim.Muon` takes matrices only, one to a parameter. Here the gates of a recurrent layer, which stand one
    above the other in a parameter, are orthogonalised each for itself, in the parameters' own precision.

    Args:
        params: parameters, or groups of them as from `parameter_groups`; `blocks` is how many matrices of the same
            number of rows stand one above the other in each parameter of a group, 0 for AdamW.
        momentum: of Muon, in Nesterov's form.
        betas: of AdamW; likewise eps.

    Raises:
        ValueError: a momentum outside of [0, 1), or what AdamW raises.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}; it must be in [0, 1)")
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "blocks": 0})
        self._adamw = torch.optim.AdamW(self.param_groups, betas=betas, eps=eps)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        # Anew each time: loading a state has replaced both.
        self._adamw.state = self.state
        self._adamw.param_groups = [group for group in self.param_groups if not group["blocks"]]
        loss = self._adamw.step(closure)
        for group in self.param_groups:
            if group["blocks"]:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._move(parameter, **group)
        return loss

    def _move(self, parameter: Tensor, lr: float, weight_decay: float, momentum: float, blocks: int, **_: Any) -> None:
        gradient, state = parameter.grad, self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        average = state["momentum"].lerp_(gradient, 1 - momentum)
        update = orthogonal(gradient.lerp(average, momentum).unflatten(0, (blocks, -1)))
        scale = ADAM_RMS * max(update.shape[1:]) ** 0.5
        parameter.mul_(1 - lr * weight_decay).add_(update.flatten(0, 1), alpha=-lr * scale)


def orthogonal(matrices: Tensor) -> Tensor:
    """[N, R, C]: of each matrix U S V^T about U V^T, by Newton and Schulz's iteration: products of matrices alone."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def hidden_matrices(net: nn.Module) -> dict[nn.Parameter, int]:
    """The matrices of `net` that lead from features to features, and the number of blocks in each.

    Recurrent layers' have one block a gate, linear layers' are one block. Not among them: embeddings, what stands in
    the net's `output`, and whatever is no matrix.
    """
    found: dict[nn.Parameter, int] = {}
    for name, module in net.named_modules():
        if isinstance(module, Recurrent):
            rows = module.hidden_size
            found |= {p: len(p) // rows for n, p in module.named_parameters() if n.startswith("core.weight")}
        elif isinstance(module, nn.Linear) and name.split(".")[0] != "output":
            found[module.weight] = 1
    return found
