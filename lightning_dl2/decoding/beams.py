"""Beam search: find the texts of the highest score among K partial texts at a time.

Shapes: P prompts, K beams, V vocabulary, t tokens so far.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_dl2.decoding.prompts import select
from lightning_dl2.decoding.settings import Decoding, Generated
from lightning_dl2.decoding.stops import Stops
from lightning_dl2.decoding.warping import at_least_single, warp


def search(
    step: Callable[..., Any],
    logits: Tensor,
    state: object,
    prompts: Sequence[list[int]],
    decoding: Decoding,
    stops: Stops,
    seen: Tensor | None,
) -> list[list[Generated]]:
    """Return the num_return_sequences best texts of each prompt, best first; fewer where no more exist.

    At each length, every partial text is extended by every token. A text that completes a stop string is finished, and
    a result if its score is good enough; the K most probable of the rest continue. A prompt is done when none of them
    can still overtake its worst result. With K >= V**(max_new_tokens - 1) no text is cut off: the search is exhaustive.

    Args:
        step: tokens [P*K], state -> logits [P*K, V], state.
        logits: [P, V], after the prompts, like the state.
        seen: [P, V], the tokens that the repetition penalty lowers.
    """
    (P, V), K, device = logits.shape, decoding.num_beams, logits.device
    first_rows = torch.arange(P, device=device).repeat_interleave(K)
    logits, state = logits[first_rows], select(state, first_rows)
    seen = None if seen is None else seen[first_rows]
    # the search begins with one text, the empty one; the sums of beams that do not exist are -inf
    sums = torch.full((P, K), -torch.inf, dtype=torch.float64, device=device)
    sums[:, 0] = 0
    texts = torch.empty(P, K, 0, dtype=torch.int64, device=device)
    log_ps = torch.empty(P, K, 0, dtype=at_least_single(logits).dtype, device=device)
    results = [_Results(prompt, decoding, stops) for prompt in prompts]

    for length in range(1, decoding.max_new_tokens + 1):
        log_p = warp(logits, decoding, seen)
        raw_log_p = (log_p if seen is None else at_least_single(logits).log_softmax(1)).view(P, K, V)
        extended = (sums.view(P * K, 1) + log_p).view(P, K, V)

        if stops:
            ends = stops.completing(texts, V)
            finished, _, *finished_texts = _follow(extended.masked_fill(~ends, -torch.inf), raw_log_p, texts, log_ps)
            for result, *candidates in zip(results, finished.tolist(), *finished_texts, strict=True):
                result.add(*candidates)
            extended = extended.masked_fill(ends, -torch.inf)
        sums, parents, texts, log_ps = _follow(extended, raw_log_p, texts, log_ps)
        if length == decoding.max_new_tokens:
            break
        # without stop strings no text is finished before the last step
        if stops:
            for result, best in zip(results, sums[:, 0].tolist(), strict=True):
                result.done = result.done or not result.can_improve(best, length)
            if all(result.done for result in results):
                break
        rows = (parents + K * torch.arange(P, device=device).unsqueeze(1)).view(-1)
        tokens = texts[:, :, -1].reshape(-1)
        if seen is not None:
            seen = seen[rows].scatter_(1, tokens.unsqueeze(1), True)
        logits, state = step(tokens, select(state, rows))

    for result, *candidates in zip(results, sums.tolist(), texts, log_ps, strict=True):
        result.add(*candidates)
    return [result.best for result in results]


def _follow(candidates: Tensor, raw_log_p: Tensor, texts: Tensor, log_ps: Tensor) -> tuple[Tensor, ...]:
    """Return the K best extensions of K texts, best first.

    Args:
        candidates: [P, K, V], the sum of each text with each token.
        raw_log_p: [P, K, V], log-probability of the token under the model itself.
        texts, log_ps: [P, K, t].

    Returns:
        sums [P, K], the numbers of the extended texts [P, K], texts and log_ps [P, K, t + 1].
    """
    P, K, V = candidates.shape
    best, index = candidates.view(P, K * V).topk(K)
    parents, tokens = index // V, index % V
    along = parents.unsqueeze(2).expand(-1, -1, texts.shape[2])
    new_log_p = raw_log_p.reshape(P, K * V).gather(1, index)
    texts = torch.cat([texts.gather(1, along), tokens.unsqueeze(2)], 2)
    return best, parents, texts, torch.cat([log_ps.gather(1, along), new_log_p.unsqueeze(2)], 2)


class _Results:
    """Best finished texts of one prompt, best first, at most num_return_sequences."""

    def __init__(self, prompt: list[int], decoding: Decoding, stops: Stops):
        self.prompt, self.decoding, self.stops = prompt, decoding, stops
        self.best: list[Generated] = []
        self.done = False

    def add(self, sums: list[float], texts: Tensor, log_ps: Tensor) -> None:
        """Add those of K finished texts [K, t] that are good enough; their sums are in descending order."""
        if self.done:
            return
        for total, text, log_p in zip(sums, texts, log_ps, strict=True):
            score = self._score(total, len(text))
            if not self._is_good_enough(score):
                return
            tokens = text.tolist()
            stop_length = self.stops.completed(tokens) if tokens else 0
            seed = self.decoding.seed
            self.best.append(Generated.without_stop(self.prompt, tokens, log_p.tolist(), score, stop_length, seed))
            self.best.sort(key=lambda result: -result.score)
            del self.best[self.decoding.num_return_sequences :]

    def can_improve(self, total: float, length: int) -> bool:
        """Tell whether a partial text with this sum of log-probabilities may still become a result.

        The sum can only fall below `total`, and its norm is monotonic in the length: no score is higher than that of
        `total` at the next or the last length.
        """
        lengths = (length + 1, self.decoding.max_new_tokens)
        return self._is_good_enough(max(self._score(total, length) for length in lengths))

    def _score(self, total: float, length: int) -> float:
        return total / length**self.decoding.length_penalty if length else total

    def _is_good_enough(self, score: float) -> bool:
        if len(self.best) < self.decoding.num_return_sequences:
            return score > -math.inf
        return score > self.best[-1].score
