"""Muon: momentum, orthogonalised, for the matrices of hidden layers."""

from typing import Any

import torch
from torch import Tensor, nn

from lightning_dl2.nets.recurrent.ensemble import members_of
from lightning_dl2.nets.recurrent.layers import Recurrent

# Of each step of the iteration, by You Jiacheng: after the five of them singular values down to 1 % of the norm are
# between 0.8 and 1.2.
NEWTON_SCHULZ = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) for groups of parameters that have `blocks`, torch's AdamW for all the others.

    A matrix [R, C] moves along the orthogonal factor of its momentum, so that all of its directions learn, however
    small their share of the gradient: each step changes it by lr * sqrt(max(1, R/C)) in every direction.

    `torch.optim.Muon` takes matrices only, one to a parameter. Here the gates of a recurrent layer, which stand one
    above the other in a parameter, are orthogonalised each for itself, in the parameters' own precision.

    Args:
        params: parameters, or groups of them as from `parameter_groups`; `blocks` is how many matrices of the same
            number of rows stand one above the other in each parameter of a group, 0 for AdamW.
        lr: of Muon.
        weight_decay: of both, each times its own learning rate.
        momentum: of Muon, in Nesterov's form.
        adamw_lr: of AdamW; a schedule scales both alike. Likewise betas and eps.

    Raises:
        ValueError: a momentum outside of [0, 1), a negative rate, or what AdamW raises.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.02,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        adamw_lr: float = 4e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}; it must be in [0, 1)")
        for name, rate in (("lr", lr), ("adamw_lr", adamw_lr)):
            if rate < 0:
                raise ValueError(f"{name} is {rate}; it must be at least 0")
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "blocks": 0})
        for group in self.param_groups:
            if not group["blocks"]:
                group["lr"] = adamw_lr
        self._adamw = torch.optim.AdamW(self.param_groups, betas=betas, eps=eps)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        # Anew each time: loading a state has replaced both.
        self._adamw.state = self.state
        self._adamw.param_groups = [group for group in self.param_groups if not group["blocks"]]
        loss = self._adamw.step(closure)
        for group in self.param_groups:
            if group["blocks"]:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._move(parameter, parameter.grad, group)
        return loss

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        lr, momentum, state = group["lr"], group["momentum"], self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        average = state["momentum"].lerp_(gradient, 1 - momentum)
        update = orthogonal(gradient.lerp(average, momentum).unflatten(0, (group["blocks"], -1)))
        scale = max(1.0, update.shape[1] / update.shape[2]) ** 0.5
        parameter.mul_(1 - lr * group["weight_decay"]).add_(update.flatten(0, 1), alpha=-lr * scale)


def orthogonal(matrices: Tensor) -> Tensor:
    """[N, R, C]: of each matrix U S V^T about U V^T, by Newton and Schulz's iteration: products of matrices alone."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for a, b, c in NEWTON_SCHULZ:
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def hidden_matrices(net: nn.Module) -> dict[nn.Parameter, int]:
    """The matrices of `net` that lead from features to features, and the number of blocks in each.

    Recurrent layers' have one block a gate, linear layers' are one block. Not among them: embeddings, what stands in
    the net's `output`, and whatever is no matrix.
    """
    found: dict[nn.Parameter, int] = {}
    for member in members_of(net):
        for name, module in member.named_modules():
            if isinstance(module, Recurrent):
                rows = module.hidden_size
                found |= {p: len(p) // rows for n, p in module.named_parameters() if n.startswith("core.weight")}
            elif isinstance(module, nn.Linear) and name.split(".")[0] != "output":
                found[module.weight] = 1  # type: ignore[index]  # a Parameter
    return found
