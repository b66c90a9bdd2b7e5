"""Equations of the Linear Recurrent Unit: a complex diagonal matrix that no input changes.

Shapes: B batch, D input_size, H hidden_size (also the number of complex states), T steps.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from lightning_dl2.nets.recurrent.cells.base import Cell, Shapes, Step, Weights
from lightning_dl2.nets.recurrent.cells.scan import scan

SMALLEST = 1e-6  # of a uniform number whose logarithm is taken


class LRU(Cell):
    """Compute s' = lambda*s + gamma*(B x), y = Re(C s') + D x, h' = gelu(y) (Orvieto et al. 2023).

    lambda = exp(-exp(nu_log) + i exp(theta_log)) lies within the unit circle whatever is learnt, and gamma =
    exp(gamma_log) begins as sqrt(1 - |lambda|^2), which keeps the variance. B is weight_ih, C is weight_out, real parts
    before imaginary ones; D is weight_skip. The state s has two numbers a unit: real, imaginary. The paper puts the
    nonlinearity behind the unit; without one, layers would collapse into one.

    Args:
        r_min, r_max: the ring that the eigenvalues are drawn from, uniformly by area.
        max_phase: of the eigenvalues, in radians.
        activation: of y; `none`: the paper's unit alone.
    """

    gates, state, forget_gate = (), ("h", "s"), None

    def __init__(
        self,
        r_min: Annotated[float, Field(ge=0, le=1)] = 0.0,
        r_max: Annotated[float, Field(gt=0, le=1)] = 1.0,
        max_phase: Annotated[float, Field(gt=0)] = 6.28,
        activation: Literal["gelu", "none"] = "gelu",
    ) -> None:
        if r_min >= r_max:
            raise ValueError(f"r_min is {r_min}; it must be below r_max={r_max}")
        self.r_min, self.r_max, self.max_phase, self.activation = r_min, r_max, max_phase, activation

    @classmethod
    def shapes(cls, D: int, H: int) -> Shapes:
        matrices = {"weight_ih": (2 * H, D), "weight_out": (H, 2 * H), "weight_skip": (H, D)}
        return matrices | {"nu_log": (H,), "theta_log": (H,), "gamma_log": (H,)}

    @classmethod
    def state_shapes(cls, H: int) -> Shapes:
        return {"s": (H, 2)}

    def initialize(self, w: Weights) -> None:
        """Draw the weights as the authors' code does."""
        H, D = w["weight_skip"].shape
        for name, deviation in (("weight_ih", (2 * D) ** -0.5), ("weight_out", H**-0.5), ("weight_skip", D**-0.5)):
            w[name].normal_(0, deviation)
        area = w["nu_log"].uniform_().mul_(self.r_max**2 - self.r_min**2).add_(self.r_min**2).clamp_(min=SMALLEST)
        area.log_().mul_(-0.5).clamp_(min=SMALLEST).log_()
        w["theta_log"].uniform_(SMALLEST, 1).mul_(self.max_phase).log_()
        # 1 - |lambda|^2, without the loss of digits near 1
        w["gamma_log"].copy_(torch.expm1(-2 * w["nu_log"].exp()).neg().log().mul(0.5))

    def step(self, w: Weights, x: Tensor, h: Tensor, s: Tensor) -> Step:
        eigenvalues, inputs = self._terms(w, x)
        s = torch.view_as_real(eigenvalues * torch.view_as_complex(s) + inputs)
        y = _read_out(w, x, torch.view_as_complex(s))  # from the s of the trace, which so has a gradient
        return {"y": y, "s": s, "h": self._activate(y)}

    def sequence(self, w: Weights, x: Tensor, h: Tensor, s: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        eigenvalues, inputs = self._terms(w, x)
        states = scan(eigenvalues[None, None], inputs, torch.view_as_complex(s.contiguous()), overwrite=True)
        hs = self._activate(_read_out(w, x, states))
        return hs, (hs[-1], torch.view_as_real(states[-1]))

    def _terms(self, w: Weights, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the eigenvalues [H], and gamma * (B x), both complex."""
        real, imaginary = F.linear(x, w["weight_ih"]).chunk(2, dim=-1)
        eigenvalues = torch.polar(torch.exp(-w["nu_log"].exp()), w["theta_log"].exp())
        return eigenvalues, torch.complex(real, imaginary) * w["gamma_log"].exp()

    def _activate(self, y: Tensor) -> Tensor:
        return F.gelu(y) if self.activation == "gelu" else y


def _read_out(w: Weights, x: Tensor, s: Tensor) -> Tensor:
    """Return Re(C s) + D x."""
    return F.linear(torch.cat([s.real, -s.imag], dim=-1), w["weight_out"]) + F.linear(x, w["weight_skip"])
