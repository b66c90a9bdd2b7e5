"""Settings and results of `generate`."""

import sys
from dataclasses import dataclass
from numbers import Integral, Real


@dataclass(frozen=True)
class Decoding:
    """Settings that choose the tokens, named as in Hugging Face's `generate`.

    Greedy search (do_sample=False, or temperature 0) takes the most probable token, of equal ones the lowest id. It is
    the limit of temperature 0, and neither another temperature nor a filter changes it. Beam search (num_beams > 1 and
    do_sample=False) is deterministic, too.

    Args:
        max_new_tokens: the largest number of tokens, from 0 to 2**31 - 1.
        do_sample: draw tokens instead of taking the most probable.
        temperature: divides the logits.
        inverse_temperature: multiplies the logits instead, the course's convention; None: `temperature` counts.
        top_k: draw from the k most probable tokens; 0, or more than the vocabulary has: from all.
        top_p: from the smallest set of the most probable tokens with this mass (Holtzman et al. 2020).
        min_p: from the tokens at least min_p times as probable as the most probable (Nguyen et al. 2024).
        typical_p: from the smallest set with this mass of the tokens whose information is closest to the entropy
            (Meister et al. 2023).
        repetition_penalty: above 1, it lowers tokens of the prompt and of the text so far: a positive logit is divided
            by it, a negative one multiplied (Keskar et al. 2019).
        num_beams: partial texts that beam search keeps; 1: no beam search.
        length_penalty: beam search maximises sum log p / length**length_penalty; for beam search only.
        num_return_sequences: results of each prompt.
        seed: of the draws.

    Raises:
        ValueError: a value outside of its range, or settings that exclude each other.
    """

    max_new_tokens: int = 200
    do_sample: bool = True
    temperature: float = 1.0
    inverse_temperature: float | None = None
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    num_beams: int = 1
    length_penalty: float = 1.0
    num_return_sequences: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        # the draws depend on the seed's text, which differs for NumPy's numbers
        for name, value in list(vars(self).items()):
            object.__setattr__(self, name, _plain(value))

        def check(name: str, valid: bool, allowed: str) -> None:
            if not valid:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be {allowed}")

        n = self.max_new_tokens
        check("max_new_tokens", _is_integer(n) and 0 <= n < 2**31, f"a whole number from 0 to {2**31 - 1}")
        for name, lowest in (("top_k", 0), ("num_beams", 1), ("num_return_sequences", 1)):
            value = getattr(self, name)
            check(name, _is_integer(value) and value >= lowest, f"a whole number of at least {lowest}")
        check("seed", _is_integer(self.seed), "a whole number")
        check("do_sample", isinstance(self.do_sample, bool), "True or False")
        check("temperature", _is_number(self.temperature) and self.temperature >= 0, "a finite number of at least 0")
        beta = self.inverse_temperature
        allowed = "None or a finite number above 0 (temperature=0 is greedy)"
        check("inverse_temperature", beta is None or (_is_number(beta) and beta > 0), allowed)
        for name in ("top_p", "typical_p"):
            value = getattr(self, name)
            check(name, _is_number(value) and 0 < value <= 1, "a number above 0 and at most 1")
        check("min_p", _is_number(self.min_p) and 0 <= self.min_p <= 1, "a number from 0 to 1")
        # beyond any use, and the logits would overflow
        penalty = self.repetition_penalty
        check("repetition_penalty", _is_number(penalty) and 0.01 <= penalty <= 100, "a number from 0.01 to 100")
        # likewise, and its powers of the length would
        penalty = self.length_penalty
        check("length_penalty", _is_number(penalty) and abs(penalty) <= 10, "a number from -10 to 10")

        if beta is not None and self.temperature != 1:
            raise ValueError(f"temperature is {self.temperature} and inverse_temperature {beta}; only one may be given")
        if self.num_beams > 1:
            self._check_beams()
        elif self.greedy and self.num_return_sequences > 1:
            n = self.num_return_sequences
            raise ValueError(f"num_return_sequences is {n}; it must be 1: greedy search has but one result")

    def _check_beams(self) -> None:
        n, beams = self.num_return_sequences, self.num_beams
        if self.do_sample:
            raise ValueError(f"num_beams is {beams}; it must be 1 unless do_sample=False: beam search draws nothing")
        for name, neutral in (("temperature", 1), ("top_k", 0), ("top_p", 1), ("min_p", 0), ("typical_p", 1)):
            value = getattr(self, name)
            if name == "temperature" and self.inverse_temperature is not None:
                name, value = "inverse_temperature", self.inverse_temperature
            if value != neutral:
                raise ValueError(f"{name} is {value}; beam search, num_beams={beams}, does not read it: leave it out")
        if n > beams:
            raise ValueError(f"num_return_sequences is {n}; it must be at most num_beams, which is {beams}")

    @property
    def greedy(self) -> bool:
        return self.num_beams == 1 and (not self.do_sample or self.temperature == 0)

    @property
    def effective_temperature(self) -> float:
        """Return the temperature, given directly or by its inverse."""
        return self.temperature if self.inverse_temperature is None else 1 / self.inverse_temperature


@dataclass(frozen=True)
class Generated:
    """One generated text.

    Attributes:
        prompt: its tokens, without the start token that replaces an empty prompt.
        tokens: the new tokens, without the stop string that ended them.
        log_probabilities: of `tokens` under the model itself, whatever distribution they were drawn from.
        score: sum of the log-probabilities of all generated tokens, including the stop string. In beam search those of
            the penalised distribution, over length**length_penalty, with the stop string in the length.
        stopped_by: `stop`, a stop string, or `length`, max_new_tokens.
        seed: Decoding's.
    """

    prompt: list[int]
    tokens: list[int]
    log_probabilities: list[float]
    score: float
    stopped_by: str
    seed: int

    @classmethod
    def without_stop(
        cls, prompt: list[int], tokens: list[int], log_ps: list[float], score: float, stop_length: int, seed: int
    ) -> "Generated":
        """Build a result from all its tokens and log-probabilities; the last `stop_length`, a stop string's, go."""
        kept = len(tokens) - stop_length
        return cls(list(prompt), tokens[:kept], log_ps[:kept], score, "stop" if stop_length else "length", seed)


def _plain(value: object) -> object:
    """Convert any number to an int or a float; return anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    """Tell whether this is a finite int or float; NaN compares to nothing."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
