"""A recurrent cell of this project, for the built-in tasks: `task.cell=digits.cells.Leaky`."""

from torch import Tensor, sigmoid, tanh
from torch.nn import functional as F

from lightning_dl2.nets.recurrent.cells import Cell, Step, Weights


class Leaky(Cell):
    """Compute h' = z*h + (1 - z)*tanh(W x + U h + b), with a leak z that reads x alone."""

    gates, state, forget_gate = ("z", "n"), ("h",), "z"

    @staticmethod
    def step(w: Weights, x: Tensor, h: Tensor) -> Step:
        x_z, x_n = F.linear(x, w["weight_ih"], w.get("bias_ih")).chunk(2, dim=1)
        _, h_n = F.linear(h, w["weight_hh"], w.get("bias_hh")).chunk(2, dim=1)
        z = sigmoid(x_z)
        n = tanh(x_n + h_n)
        return {"z": z, "n": n, "h": z * h + (1 - z) * n}
