"""Greedy search and sampling: one token after the other, all rows at once.

Shapes: B rows, V vocabulary.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor

from lightning_dl2.decoding.settings import Decoding, Generated
from lightning_dl2.decoding.stops import Stops
from lightning_dl2.decoding.warping import at_least_single, penalize, reshape

# So many steps' logits are held before their log-probabilities are taken: rarely, but in little memory.
HELD_STEPS = 64
# Steps whose numbers are drawn at a time. A CPU generator makes doubles one by one: blocks of any size are equal.
DRAWN_STEPS = 1024


def sample(
    step: Callable[..., Any],
    logits: Tensor,
    state: object,
    prompts: Sequence[list[int]],
    numbers: Sequence[int],
    decoding: Decoding,
    stops: Stops,
    seen: Tensor | None,
    on_token: Callable[[int, int], None] | None,
) -> list[Generated]:
    """Continue B texts by drawn or most probable tokens.

    Args:
        step: tokens [B], state -> logits [B, V], state.
        logits: [B, V], after the prompts, like the state.
        numbers: distinguish rows of one prompt in the draws.
        seen: [B, V], the tokens that the repetition penalty lowers; updated in place.
    """
    num_rows, num_steps = len(prompts), decoding.max_new_tokens
    if not decoding.greedy:
        uniform = draw_uniform(prompts, numbers, decoding, logits.device)
    watching = bool(stops) or on_token is not None
    stream = _Stream(num_rows, stops, on_token)
    chosen: list[Tensor] = []
    held: list[Tensor] = []
    log_p: list[Tensor] = []

    for i in range(num_steps):
        held.append(logits)
        penalized = penalize(logits, decoding, seen)
        if decoding.greedy:
            tokens = penalized.argmax(1)
        else:
            tokens = pick(reshape(penalized, decoding), next(uniform))
        chosen.append(tokens)
        if seen is not None:
            seen.scatter_(1, tokens.unsqueeze(1), True)
        if len(held) == HELD_STEPS:
            log_p.append(_log_probabilities(held, chosen[-HELD_STEPS:]))
            held.clear()
        # reading from the device waits for it: only if somebody looks at the tokens
        if watching and stream.push(tokens.tolist()):
            break
        if i + 1 < num_steps:
            logits, state = step(tokens, state)
    if held:
        log_p.append(_log_probabilities(held, chosen[-len(held) :]))
    stream.flush()

    all_tokens = torch.stack(chosen, 1).tolist() if chosen else [[]] * num_rows
    all_log_p = torch.cat(log_p).T.tolist() if log_p else [[]] * num_rows
    results = []
    for row, prompt in enumerate(prompts):
        length, stop_length = stream.ends.get(row, (len(chosen), 0))
        tokens, log_ps = all_tokens[row][:length], all_log_p[row][:length]
        results.append(Generated.without_stop(prompt, tokens, log_ps, math.fsum(log_ps), stop_length, decoding.seed))
    return results


def pick(logits: Tensor, uniform: Tensor) -> Tensor:
    """Choose a token for each row of unnormalised logits [B, V], by the inverse of the distribution function.

    `uniform`, float64 [B, 1], is in [0, 1); a logit of -inf is never chosen.
    """
    cumulated = logits.softmax(1, dtype=torch.float64).cumsum(1)
    # The first token that exceeds uniform * total has raised the sum: its probability is above 0. It exists, since
    # torch draws multiples of 2**-53 below 1, for which the product rounds to below the total.
    return torch.searchsorted(cumulated, uniform * cumulated[:, -1:], right=True).squeeze(1)


def draw_uniform(
    prompts: Sequence[list[int]], numbers: Sequence[int], decoding: Decoding, device: torch.device
) -> Iterator[Tensor]:
    """Yield the draws of each of max_new_tokens steps, [B, 1] in [0, 1), each row's from a generator of its own.

    They depend on the seed, the prompt and the row's number among equal prompts, and on no other row. They are drawn on
    the CPU, so that they are equal on every device.
    """
    generators = []
    for prompt, number in zip(prompts, numbers, strict=True):
        # hashed, since torch reads only 32 bits of a seed, and neighbouring seeds should share nothing
        digest = blake2b(repr((decoding.seed, number, *prompt)).encode(), digest_size=8).digest()
        generators.append(torch.Generator().manual_seed(int.from_bytes(digest)))
    for start in range(0, decoding.max_new_tokens, DRAWN_STEPS):
        num_steps = min(DRAWN_STEPS, decoding.max_new_tokens - start)
        draws = torch.empty(len(prompts), num_steps, dtype=torch.float64)
        for row, generator in zip(draws, generators, strict=True):
            torch.rand(row.shape, generator=generator, out=row)
        yield from draws.to(device).unsqueeze(2).unbind(1)


class _Stream:
    """Texts on the host: pass tokens on once they cannot be part of a stop string, and find the texts' ends."""

    def __init__(self, num_rows: int, stops: Stops, on_token: Callable[[int, int], None] | None):
        self.stops, self.on_token = stops, on_token
        self.running: dict[int, list[int]] = {row: [] for row in range(num_rows)}
        self.num_sent = [0] * num_rows
        self.ends: dict[int, tuple[int, int]] = {}  # row -> length, and of it the stop string's

    def push(self, tokens: list[int]) -> bool:
        """Add a token to each row; tell whether all texts have ended."""
        for row, text in list(self.running.items()):
            text.append(tokens[row])
            stop_length = self.stops.completed(text)
            if stop_length:
                self.ends[row] = len(text), stop_length
                del self.running[row]
            if self.on_token is not None:
                self._send(row, text, len(text) - (stop_length or self.stops.begun(text)))
        return not self.running

    def flush(self) -> None:
        """Pass on the tokens that were held back, after the last step."""
        if self.on_token is not None:
            for row, text in self.running.items():
                self._send(row, text, len(text))

    def _send(self, row: int, text: list[int], until: int) -> None:
        assert self.on_token
        for token in text[self.num_sent[row] : until]:
            self.on_token(row, token)
        self.num_sent[row] = max(until, self.num_sent[row])


def _log_probabilities(logits: list[Tensor], tokens: list[Tensor]) -> Tensor:
    """Return the log-probabilities [n, B] of n steps' tokens [B] by their logits [B, V]."""
    log_p = at_least_single(torch.stack(logits)).log_softmax(2)
    return log_p.gather(2, torch.stack(tokens).unsqueeze(2)).squeeze(2)
