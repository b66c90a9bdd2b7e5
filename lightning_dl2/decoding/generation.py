"""Continue prompts by a language model."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import index
from typing import Any

import torch
from torch import Tensor

from lightning_dl2.decoding.beams import search
from lightning_dl2.decoding.prompts import read, select
from lightning_dl2.decoding.sampling import sample
from lightning_dl2.decoding.settings import Decoding, Generated
from lightning_dl2.decoding.stops import Stops


def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    *,
    start_token: int,
    stop: Sequence[Sequence[int]] = (),
    on_token: Callable[[int, int], None] | None = None,
    device: torch.device | str | None = None,
) -> list[list[Generated]]:
    """Continue all prompts in one batch, in evaluation mode and without gradients.

    A result depends on the prompt and the settings alone, up to the rounding of the model's sums, and not on the other
    prompts. Texts of a prompt that is given twice differ, as those of num_return_sequences do.

    Args:
        model: see the package's docstring. It must not write to the logits and states that it has returned.
        start_token: read in place of an empty prompt.
        stop: sequences of tokens that end the generated text; the longest one at that place is cut off.
        on_token: called with (row, token) for each token that can no longer be part of a stop string; row = the
            prompt's index * num_return_sequences + the result's. Beam search knows its tokens at the end only.
        device: of the model; None: that of its first parameter.

    Returns:
        num_return_sequences results of each prompt; of beam search the best first, and fewer where fewer exist.

    Raises:
        ValueError: a token outside of the vocabulary, an empty stop string, or logits that are NaN or infinite; those
            of impossible tokens may be -inf.
    """
    texts = [[index(token) for token in prompt] for prompt in prompts]
    device = _find_device(model) if device is None else torch.device(device)
    n = decoding.num_return_sequences

    with _evaluating(model):
        vocabulary_size = model(torch.zeros(1, 1, dtype=torch.int64, device=device), None)[0].shape[-1]
        _check(texts, start_token, stop, vocabulary_size)
        if not texts:
            return []
        stops = Stops(stop)
        logits, state = read(model, [text or [start_token] for text in texts], device)
        # the maximum is NaN where any logit is, and -inf only where no token is possible
        if not logits.amax(1).isfinite().all():
            raise ValueError("the model's logits are NaN or infinite; it may have diverged in training")
        seen = _mark_seen(texts, logits) if decoding.repetition_penalty != 1 else None
        step = _stepper(model)

        if decoding.num_beams > 1:
            results = search(step, logits, state, texts, decoding, stops, seen)
            if on_token is not None:
                for p, best in enumerate(results):
                    for r, result in enumerate(best):
                        for token in result.tokens:
                            on_token(p * n + r, token)
            return results

        rows = torch.arange(len(prompts), device=device).repeat_interleave(n)
        logits, state = logits[rows], select(state, rows)
        seen = None if seen is None else seen[rows]
        repeated = [text for text in texts for _ in range(n)]
        flat = sample(step, logits, state, repeated, _numbers(texts, n), decoding, stops, seen, on_token)
        return [flat[start : start + n] for start in range(0, len(flat), n)]


def _find_device(model: Any) -> torch.device:
    first = next(model.parameters(), None) if isinstance(model, torch.nn.Module) else None
    return torch.device("cpu") if first is None else first.device


def _mark_seen(texts: list[list[int]], logits: Tensor) -> Tensor:
    """Mark the tokens of each text, boolean like logits [B, V]."""
    seen = torch.zeros(logits.shape, dtype=torch.bool)
    for row, text in enumerate(texts):
        seen[row, text] = True
    return seen.to(logits.device)


def _numbers(texts: list[list[int]], n: int) -> list[int]:
    """Return the numbers of the n results of each text, [B * n]; those of a text that is given again count on."""
    met: Counter[tuple[int, ...]] = Counter()
    numbers: list[int] = []
    for text in map(tuple, texts):
        numbers += range(met[text], met[text] + n)
        met[text] += n
    return numbers


def _check(prompts: Sequence[Sequence[int]], start_token: int, stop: Sequence[Sequence[int]], size: int) -> None:
    named = {f"prompts[{i}]": prompt for i, prompt in enumerate(prompts)}
    named["start_token"] = [start_token]
    for i, string in enumerate(stop):
        if not len(string):
            raise ValueError(f"stop[{i}] is empty; it must have at least one token")
        named[f"stop[{i}]"] = string
    for name, tokens in named.items():
        wrong = next((token for token in tokens if not 0 <= token < size), None)
        if wrong is not None:
            raise ValueError(f"{name} has the token {wrong}; tokens must be from 0 to {size - 1}")


def _stepper(model: Any) -> Callable[..., Any]:
    if hasattr(model, "stepper"):
        return model.stepper()

    def step(tokens: Tensor, state: object) -> tuple[Tensor, object]:
        logits, state = model(tokens.unsqueeze(1), state)
        return logits[:, 0], state

    return step


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Enter evaluation and inference mode; restore each module's mode afterwards."""
    modules = list(model.modules()) if isinstance(model, torch.nn.Module) else []
    modes = [module.training for module in modules]
    try:
        if modules:
            model.eval()
        with torch.inference_mode():
            yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
