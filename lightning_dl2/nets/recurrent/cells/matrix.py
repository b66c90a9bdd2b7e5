"""Equations of cells whose state is a matrix for each head: mLSTM and Gated DeltaNet.

Shapes: B batch, D input_size, H hidden_size, K heads, d = H/K numbers of a head, T steps, L steps of a chunk.

Over a sequence both run a chunk of steps at a time. Within a chunk the states are not computed: the outputs are a sum
over earlier steps, weighted by keys and queries, as in attention.
"""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, sigmoid
from torch.nn import functional as F

from lightning_dl2.nets.recurrent.cells.base import Cell, Shapes, Step, Weights

CHUNK = 32
WIDEST = 64  # numbers of a head, where nobody has chosen the heads
SHORTEST, LONGEST, FLOOR = 1e-3, 1e-1, 1e-4  # of the first step sizes, as in Mamba
Heads = Annotated[int, Field(ge=1)] | None


class _WithHeads(Cell):
    """Base of the cells with heads.

    Args:
        heads: K, a divisor of H; None: the fewest with at most 64 numbers each.
    """

    forget_gate = None

    def __init__(self, heads: Heads = None) -> None:
        self.heads = heads

    def count_heads(self, H: int) -> int:
        """Return K.

        Raises:
            ValueError: it does not divide H.
        """
        if self.heads is None:
            return next(heads for heads in range(1, H + 1) if H % heads == 0 and H // heads <= WIDEST)
        if H % self.heads:
            raise ValueError(f"heads is {self.heads}; it must divide hidden_size={H}")
        return self.heads

    def split(self, vectors: Tensor, parts: int) -> list[Tensor]:
        """Split [..., parts*H] into `parts` of [..., K, d]."""
        H = vectors.shape[-1] // parts
        return [part.unflatten(-1, (self.count_heads(H), -1)) for part in vectors.chunk(parts, dim=-1)]


class MLSTM(_WithHeads):
    """Compute C' = f*C + i*v k^T, n' = f*n + i*k, h' = o*(C' q) / max(|n'.q|, 1) (Beck et al. 2024).

    q, k, v and o = sigmoid are of each head, i = exp(i~) and f = sigmoid(f~) one number a head; k is divided by
    sqrt(d). No gate reads the state. C and n are divided by exp(m), m' = max(log f + m, i~): i and f of the trace are
    the paper's i' and f', and h is the same.
    """

    gates, state = ("i", "f", "o"), ("h", "m", "n", "C")

    def shapes(self, D: int, H: int) -> Shapes:  # type: ignore[override]  # no classmethod: K is the instance's
        K = self.count_heads(H)
        return {"weight_ih": (4 * H, D), "weight_gates": (2 * K, D), "bias_ih": (4 * H,), "bias_gates": (2 * K,)}

    def state_shapes(self, H: int) -> Shapes:  # type: ignore[override]  # likewise
        K = self.count_heads(H)
        return {"m": (K,), "n": (K, H // K), "C": (K, H // K, H // K)}

    @staticmethod
    def initialize(w: Weights) -> None:
        """Begin with gates that read no input: f~ from 3 to 6 over the heads, i~ near 0, as the authors' code does."""
        w["weight_gates"].zero_()
        if "bias_gates" in w:
            i, f = w["bias_gates"].chunk(2)
            i.normal_(0, 0.1)
            f.copy_(torch.linspace(3, 6, len(f)))

    def step(self, w: Weights, x: Tensor, h: Tensor, m: Tensor, n: Tensor, C: Tensor) -> Step:
        q, k, v, o, i, log_f = self._project(w, x)
        before, m = log_f + m, torch.maximum(log_f + m, i)
        i, f = torch.exp(i - m), torch.exp(before - m)
        C = f[..., None, None] * C + (i.unsqueeze(-1) * v).unsqueeze(-1) * k.unsqueeze(-2)
        n = f.unsqueeze(-1) * n + i.unsqueeze(-1) * k
        size = torch.maximum((n * q).sum(-1).abs(), torch.exp(-m))
        h = (o * (C @ q.unsqueeze(-1)).squeeze(-1) / size.unsqueeze(-1)).flatten(-2)
        return {"i": i, "f": f, "o": o.flatten(-2), "m": m, "n": n, "C": C, "h": h}

    def sequence(
        self, w: Weights, x: Tensor, h: Tensor, m: Tensor, n: Tensor, C: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        q, k, v, o, i, log_f = self._project(w, x)
        outputs = []
        for parts in zip(*(_by_chunk(part) for part in (q, k, v, i, log_f)), strict=True):
            output, m, n, C = _run_mlstm(m, n, C, *parts)
            outputs.append(output)
        hs = (o * _in_order(outputs)).flatten(-2)
        return hs, (hs[-1], m, n, C)

    def _project(self, w: Weights, x: Tensor) -> tuple[Tensor, ...]:
        """Return q, k, v, o [..., K, d] and i~, log f [..., K]."""
        q, k, v, o = self.split(F.linear(x, w["weight_ih"]), 4)
        k = k / math.sqrt(k.shape[-1])
        if "bias_ih" in w:
            q, k, v, o = (part + bias for part, bias in zip((q, k, v, o), self.split(w["bias_ih"], 4), strict=True))
        i, f = F.linear(x, w["weight_gates"], w.get("bias_gates")).chunk(2, dim=-1)
        return q, k, v, sigmoid(o), i, F.logsigmoid(f)


def _run_mlstm(
    m: Tensor, n: Tensor, C: Tensor, q: Tensor, k: Tensor, v: Tensor, i: Tensor, log_f: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run a chunk: q, k, v [B, K, L, d], i, log_f [B, K, L] -> (C q) / size, [B, K, L, d], and the last m, n, C."""
    kept = log_f.cumsum(-1)  # log of the product of f up to each step
    logs = _causal(kept.unsqueeze(-1) - kept.unsqueeze(-2) + i.unsqueeze(-2))  # what step s is worth at step t
    first = kept + m.unsqueeze(-1)
    ms = torch.maximum(first, logs.amax(-1))
    shares, first = torch.exp(logs - ms.unsqueeze(-1)), torch.exp(first - ms)
    scores = shares * (q @ k.mT)
    sums = scores.sum(-1) + first * (q @ n.unsqueeze(-1)).squeeze(-1)
    outputs = scores @ v + first.unsqueeze(-1) * (q @ C.mT)
    outputs = outputs / torch.maximum(sums.abs(), torch.exp(-ms)).unsqueeze(-1)
    last, first = shares[..., -1, :].unsqueeze(-1), first[..., -1:]
    n = first * n + (last * k).sum(-2)
    C = first.unsqueeze(-1) * C + (last * v).mT @ k
    return outputs, ms[..., -1], n, C


class GatedDeltaNet(_WithHeads):
    """Compute S' = alpha*S (I - beta k k^T) + beta v k^T, h' = RMSNorm(S' q)*silu(g) (Yang et al. 2024, equation 10).

    q, k and v are silu(W x), k and q of length 1; g = W x. alpha = exp(-exp(A_log)*softplus(a)) and beta = sigmoid(b)
    are one number a head. Along k the state is multiplied by alpha (1 - beta), which lies in [0, 1]. The authors' layer
    also has convolutions over four steps and an output matrix, which are left out, as in `S6`.

    Args:
        eigenvalues: `signed` takes beta = 2 sigmoid(b): along k the state is multiplied by a number in [-1, 1], and may
            be reflected (Grazzi et al. 2024).
    """

    gates, state = ("alpha", "beta"), ("h", "S")

    def __init__(self, heads: Heads = None, eigenvalues: Literal["unit", "signed"] = "unit") -> None:
        super().__init__(heads)
        self.eigenvalues = eigenvalues

    def shapes(self, D: int, H: int) -> Shapes:  # type: ignore[override]  # no classmethod: K is the instance's
        K = self.count_heads(H)
        matrices = {"weight_ih": (4 * H, D), "weight_gates": (2 * K, D)}
        return matrices | {"bias_gates": (2 * K,), "A_log": (K,), "gain": (H // K,)}

    def state_shapes(self, H: int) -> Shapes:  # type: ignore[override]  # likewise
        K = self.count_heads(H)
        return {"S": (K, H // K, H // K)}

    @staticmethod
    def initialize(w: Weights) -> None:
        """Draw A from 0 to 16 and step sizes from 0.001 to 0.1, as the authors' code does."""
        w["A_log"].uniform_(FLOOR, 16).log_()
        w["gain"].fill_(1)
        if "bias_gates" in w:
            a, b = w["bias_gates"].chunk(2)
            dt = a.uniform_(math.log(SHORTEST), math.log(LONGEST)).exp_().clamp_(min=FLOOR)
            a.copy_(dt + torch.log(-torch.expm1(-dt)))  # softplus gives dt again
            b.zero_()

    def step(self, w: Weights, x: Tensor, h: Tensor, S: Tensor) -> Step:
        q, k, v, g, log_alpha, beta = self._project(w, x)
        alpha = log_alpha.exp()
        S = alpha[..., None, None] * S
        written = beta.unsqueeze(-1) * (v - (S @ k.unsqueeze(-1)).squeeze(-1))
        S = S + written.unsqueeze(-1) * k.unsqueeze(-2)
        h = self._read_out(w, (S @ q.unsqueeze(-1)).squeeze(-1), g)
        return {"alpha": alpha, "beta": beta, "q": q, "k": k, "v": v, "S": S, "h": h}

    def sequence(self, w: Weights, x: Tensor, h: Tensor, S: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        q, k, v, g, log_alpha, beta = self._project(w, x)
        outputs = []
        for parts in zip(*(_by_chunk(part) for part in (q, k, v, log_alpha, beta)), strict=True):
            output, S = _run_delta(S, *parts)
            outputs.append(output)
        hs = self._read_out(w, _in_order(outputs), g)
        return hs, (hs[-1], S)

    def _project(self, w: Weights, x: Tensor) -> tuple[Tensor, ...]:
        """Return q, k, v, g [..., K, d] and log alpha, beta [..., K]."""
        q, k, v, g = self.split(F.linear(x, w["weight_ih"]), 4)
        q, k, v = (F.silu(part) for part in (q, k, v))
        q, k = (part * torch.rsqrt(part.square().sum(-1, keepdim=True) + 1e-6) for part in (q, k))
        a, b = F.linear(x, w["weight_gates"], w.get("bias_gates")).chunk(2, dim=-1)
        beta = sigmoid(b) * (2 if self.eigenvalues == "signed" else 1)
        return q, k, v, g, -w["A_log"].exp() * F.softplus(a), beta

    def _read_out(self, w: Weights, y: Tensor, g: Tensor) -> Tensor:
        return (F.rms_norm(y, w["gain"].shape, w["gain"], 1e-5) * F.silu(g)).flatten(-2)


class SignedGatedDeltaNet(GatedDeltaNet):
    """Compute `GatedDeltaNet` with eigenvalues in [-1, 1]."""

    def __init__(self, heads: Heads = None) -> None:
        super().__init__(heads, "signed")


def _run_delta(S: Tensor, q: Tensor, k: Tensor, v: Tensor, log_alpha: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    """Run a chunk: q, k, v [B, K, L, d], log_alpha, beta [B, K, L] -> S q of each step, [B, K, L, d], and the last S.

    With g(t), the product of alpha up to t, S(t) = g(t) S + sum over s <= t of g(t)/g(s) u(s) k(s)^T. What step t
    writes, u(t) = beta (v - alpha S(t-1) k), depends on the earlier u: a triangular system of equations.
    """
    kept = log_alpha.cumsum(-1)
    shares = torch.exp(_causal(kept.unsqueeze(-1) - kept.unsqueeze(-2)))
    first, beta = kept.exp().unsqueeze(-1), beta.unsqueeze(-1)
    system = (beta * shares * (k @ k.mT)).tril(-1)  # torch takes the diagonal for ones
    written = beta * (v - first * (k @ S.mT))
    written = torch.linalg.solve_triangular(system, written, upper=False, unitriangular=True)
    outputs = (shares * (q @ k.mT)) @ written + first * (q @ S.mT)
    S = first[..., -1:, :] * S + (shares[..., -1, :].unsqueeze(-1) * written).mT @ k
    return outputs, S


def _by_chunk(part: Tensor) -> list[Tensor]:
    """Split [T, B, K, ...] into chunks of [B, K, L, ...]."""
    return list(part.movedim(0, 2).split(CHUNK, dim=2))


def _in_order(chunks: list[Tensor]) -> Tensor:
    """Join chunks of [B, K, L, d] to [T, B, K, d]."""
    return torch.cat(chunks, dim=2).movedim(2, 0)


def _causal(logs: Tensor) -> Tensor:
    """Set what later steps are worth at earlier ones, [..., L, L], to the logarithm of 0."""
    L = logs.shape[-1]
    return logs.masked_fill(torch.ones(L, L, dtype=torch.bool, device=logs.device).triu(1), -math.inf)
