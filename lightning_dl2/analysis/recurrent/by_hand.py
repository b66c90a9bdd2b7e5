"""Evaluate backpropagation through time in closed form, as products of Jacobians, without autograd.

For the mean cross entropy L of p = W_ph h(T) + b_p, with s(t) the state, h(t), or (h(t), c(t)) of the LSTM,

    dL/dW_ph = (dL/dp) h(T)^T
    dL/dW_hh = sum over t = 1..T of (dL/dp) (dp/ds(T)) (prod over j = t+1..T of ds(j)/ds(j-1)) (d+s(t)/dW_hh),

where d+ holds s(t-1) fixed. With the gates' preactivation a(t) = W_hx x + W_hh h(t-1) + b,
ds(j)/ds(j-1) = (ds/da) W_hh + the part that bypasses a, and d+s/dW_hh = (ds/da) h(t-1)^T.
Shapes: B sequences, T steps, D inputs, H hidden_size, G gates, S = H (RNN) or 2H (LSTM), C classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lightning_dl2.nets import Recurrent
from lightning_dl2.nets.recurrent import cells


@dataclass(frozen=True)
class ByHand:
    """The gradients of the mean cross entropy after the last step.

    Args:
        output: dL/dW_ph, [C, H], a single term.
        terms: contribution of each step t = 1..T to dL/dW_hh, [T, G*H, H].
    """

    output: Tensor
    terms: Tensor

    @property
    def recurrent(self) -> Tensor:
        """dL/dW_hh, the sum of the terms, [G*H, H]."""
        return self.terms.sum(0)


@torch.no_grad()
def by_hand(recurrent: Recurrent, output: nn.Linear, x: Tensor, labels: Tensor) -> ByHand:
    """Evaluate the closed forms without autograd.

    Args:
        recurrent: `rnn` or `lstm` of one layer and direction.
        output: layer from h(T) to the C classes.
        x: [B, T, D].
        labels: [B], int64.

    Raises:
        ValueError: `recurrent` has another cell, or several layers or directions.
    """
    if recurrent.cell not in LOCAL or recurrent.num_layers * recurrent.num_directions > 1:
        raise ValueError("the closed forms need an rnn or lstm of one layer and direction")
    _, _, [[trace]] = recurrent.explicit(x)
    W = recurrent.weights(0)["weight_hh"]
    B, T, H = *x.shape[:2], recurrent.hidden_size
    zeros = x.new_zeros(B, H)
    before = [{name: zeros for name in trace}] + [{name: steps[t] for name, steps in trace.items()} for t in range(T)]

    h = trace["h"][-1]
    p = output(h)
    dL_dp = (p.softmax(1) - nn.functional.one_hot(labels, p.shape[1])) / B
    dL_ds = torch.cat([dL_dp @ output.weight] + [zeros] * (len(recurrent.cell.state) - 1), dim=1)  # [B, S] at T
    terms = x.new_empty(T, *W.shape)
    for t in reversed(range(T)):
        ds_da, past = LOCAL[recurrent.cell](before[t + 1], before[t])
        terms[t] = torch.einsum("bs,bsa,bh->ah", dL_ds, ds_da, before[t]["h"])
        jacobian = past
        jacobian[:, :, :H] += ds_da @ W
        dL_ds = torch.einsum("bs,bsr->br", dL_ds, jacobian)
    return ByHand(dL_dp.T @ h, terms)


def _rnn(now: cells.Step, before: cells.Step) -> tuple[Tensor, Tensor]:
    """Return ds/da [B, S, G*H] and the part of ds(t)/ds(t-1) that bypasses a, [B, S, S]."""
    h = now["h"]
    return torch.diag_embed(1 - h**2), h.new_zeros(*h.shape, h.shape[1])


def _lstm(now: cells.Step, before: cells.Step) -> tuple[Tensor, Tensor]:
    i, f, g, o, c = (now[name] for name in ("i", "f", "g", "o", "c"))
    dh_dc = o * (1 - c.tanh() ** 2)
    dc_da = [g * i * (1 - i), before["c"] * f * (1 - f), i * (1 - g**2), torch.zeros_like(o)]
    dh_da = [*(dh_dc * part for part in dc_da[:3]), c.tanh() * o * (1 - o)]
    ds_da = torch.cat([_side_by_side(dh_da), _side_by_side(dc_da)], dim=1)
    none = torch.zeros_like(c)
    past = torch.cat([_side_by_side([none, dh_dc * f]), _side_by_side([none, f])], dim=1)
    return ds_da, past


def _side_by_side(diagonals: list[Tensor]) -> Tensor:
    """Return diagonal matrices side by side, [B, H, H * number], of diagonals [B, H] each."""
    return torch.cat([torch.diag_embed(diagonal) for diagonal in diagonals], dim=2)


LOCAL = {cells.RNN: _rnn, cells.LSTM: _lstm}
