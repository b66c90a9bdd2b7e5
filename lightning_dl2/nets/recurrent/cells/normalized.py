"""Equations of the LSTM with layer normalisation in its recurrence.

Shapes: B batch, D input_size, H hidden_size, T steps.
"""

import torch
from torch import Tensor, sigmoid, tanh
from torch.nn import functional as F

from lightning_dl2.nets.recurrent.cells.base import Cell, Shapes, Step, Weights


class LayerNormLSTM(Cell):
    """Compute an LSTM whose sums are normalised (Ba, Kiros & Hinton 2016, supplement).

        i, f, g, o = LN(W x; gain_ih) + LN(U h; gain_hh) + b
        c' = sigmoid(f)*c + sigmoid(i)*tanh(g)
        h' = sigmoid(o)*tanh(LN(c'; gain_c) + bias_c)

    LN gives a vector mean 0 and variance 1 and multiplies it by the gain. W x and U h are each normalised over all
    four gates. The biases of these two normalisations are left out, since b is added to them.
    """

    gates, state, forget_gate = ("i", "f", "g", "o"), ("h", "c"), "f"

    @classmethod
    def shapes(cls, D: int, H: int) -> Shapes:
        matrices = {"weight_ih": (4 * H, D), "weight_hh": (4 * H, H), "bias_ih": (4 * H,), "bias_c": (H,)}
        return matrices | {"gain_ih": (4 * H,), "gain_hh": (4 * H,), "gain_c": (H,)}

    @staticmethod
    def initialize(w: Weights) -> None:
        """Set the gains to 1."""
        for name in ("gain_ih", "gain_hh", "gain_c"):
            w[name].fill_(1)

    @staticmethod
    def step(w: Weights, x: Tensor, h: Tensor, c: Tensor) -> Step:
        return _step(w, _from_input(w, x), h, c)

    @staticmethod
    def sequence(w: Weights, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        hs = []
        for inputs in _from_input(w, x):
            step = _step(w, inputs, h, c)
            h, c = step["h"], step["c"]
            hs.append(h)
        return torch.stack(hs), (h, c)


def _from_input(w: Weights, x: Tensor) -> Tensor:
    """Return the input's share of all gates, with the bias."""
    return F.layer_norm(F.linear(x, w["weight_ih"]), w["gain_ih"].shape, w["gain_ih"], w.get("bias_ih"))


def _step(w: Weights, inputs: Tensor, h: Tensor, c: Tensor) -> Step:
    a = inputs + F.layer_norm(F.linear(h, w["weight_hh"]), w["gain_hh"].shape, w["gain_hh"])
    i, f, g, o = a.chunk(4, dim=1)
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
    c = f * c + i * g
    h = o * tanh(F.layer_norm(c, w["gain_c"].shape, w["gain_c"], w.get("bias_c")))
    return {"i": i, "f": f, "g": g, "o": o, "c": c, "h": h}
