"""Turn a model's logits into the distribution to draw from, step by step in Hugging Face's order.

Shapes: B rows, V vocabulary.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_dl2.decoding.settings import Decoding


def warp(logits: Tensor, decoding: Decoding, seen: Tensor | None = None) -> Tensor:
    """Map logits [B, V] to log-probabilities [B, V], -inf for excluded tokens.

    The repetition penalty comes first, then temperature, top-k, top-p, min-p and typical, each on the renormalised
    distribution of the step before. Of equal tokens the lower ids are kept. The repetition penalty lowers the tokens
    `seen`, bool [B, V].
    """
    return reshape(penalize(logits, decoding, seen), decoding).log_softmax(1)


def penalize(logits: Tensor, decoding: Decoding, seen: Tensor | None) -> Tensor:
    """Apply the repetition penalty to logits [B, V], in single precision at least."""
    logits = at_least_single(logits)
    penalty = decoding.repetition_penalty
    if seen is None or penalty == 1:
        return logits
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def reshape(logits: Tensor, decoding: Decoding) -> Tensor:
    """Apply the temperature and all filters to logits [B, V]; the result is not normalised."""
    temperature = decoding.effective_temperature
    if temperature == 0:
        best = logits.argmax(1, keepdim=True)
        return torch.full_like(logits, -torch.inf).scatter(1, best, 0.0)
    if temperature != 1:
        # relative to the maximum, so that a low temperature cannot overflow; the limits are single precision's
        logits = (logits - logits.amax(1, keepdim=True)) / min(max(temperature, 1e-30), 1e30)
    top_k = 0 < decoding.top_k < logits.shape[1]
    if top_k or decoding.top_p < 1:
        order = logits.argsort(dim=1, descending=True, stable=True)
        if top_k:
            logits = logits.scatter(1, order[:, decoding.top_k :], -torch.inf)
        if decoding.top_p < 1:
            logits = _keep_mass(logits, order, decoding.top_p)
    if decoding.min_p > 0:
        p = logits.softmax(1)
        logits = logits.masked_fill(p < decoding.min_p * p.amax(1, keepdim=True), -torch.inf)
    if decoding.typical_p < 1:
        log_p = logits.log_softmax(1)
        entropy = torch.special.entr(log_p.exp()).sum(1, keepdim=True)
        order = (log_p + entropy).abs().argsort(dim=1, stable=True)
        logits = _keep_mass(logits, order, decoding.typical_p)
    return logits


def at_least_single(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _keep_mass(logits: Tensor, order: Tensor, mass: float) -> Tensor:
    """Keep the fewest of the first tokens in `order` [B, V] whose probabilities add up to `mass` > 0."""
    p = logits.softmax(1, dtype=torch.float64).gather(1, order)
    before = F.pad(p.cumsum(1)[:, :-1], (1, 0))
    dropped = torch.zeros_like(before, dtype=torch.bool).scatter(1, order, before >= mass)
    return logits.masked_fill(dropped, -torch.inf)
