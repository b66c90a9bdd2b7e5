"""Muon: orthogonalised momentum for the matrices of hidden layers."""

from typing import Any

import torch
from torch import Tensor, nn

from lightning_dl2.nets.recurrent.ensemble import members_of
from lightning_dl2.nets.recurrent.layers import Recurrent

# Coefficients of the iteration's five steps, by You Jiacheng: they bring singular values from 1 % of the norm on to
# between 0.8 and 1.2.
NEWTON_SCHULZ = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) for parameter groups with `blocks`, torch's AdamW for the others.

    A matrix [R, C] moves along the orthogonal factor of its momentum: each step changes it by lr * sqrt(max(1, R/C)) in
    every direction, however small the direction's share of the gradient.

    `torch.optim.Muon` takes matrices only, one a parameter. Here the gates of a recurrent layer, stacked in one
    parameter, are orthogonalised one by one, in the parameters' own precision.

    Args:
        params: parameters, or groups of them as from `parameter_groups`; `blocks` is the number of matrices of equal
            size that are stacked in each parameter of a group, 0 for AdamW.
        lr, momentum: of Muon; the momentum is Nesterov's.
        weight_decay: of both, each times its own learning rate.
        adamw_lr, betas, eps: of AdamW; a schedule scales both rates alike.

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
    """Map each matrix U S V^T of [N, R, C] to about U V^T, by the iteration of Newton and Schulz."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for a, b, c in NEWTON_SCHULZ:
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def hidden_matrices(net: nn.Module) -> dict[nn.Parameter, int]:
    """Return the hidden matrices of `net`, and the number of blocks in each.

    Those of recurrent layers have one block a gate, those of linear layers one block. Embeddings, the net's `output`
    and parameters that are no matrices are left out.
    """
    found: dict[nn.Parameter, int] = {}
    for member in members_of(net):
        for name, module in member.named_modules():
            if isinstance(module, Recurrent):
                rows = module.hidden_size
                weights = [p for n, p in module.named_parameters() if n.rpartition(".")[2].startswith("weight")]
                # of a user's cell, a matrix may have rows of no gate
                found |= {p: len(p) // rows for p in weights if p.dim() == 2 and len(p) % rows == 0}
            elif isinstance(module, nn.Linear) and name.split(".")[0] != "output":
                found.setdefault(module.weight, 1)  # type: ignore[arg-type]  # a Parameter
    return found
