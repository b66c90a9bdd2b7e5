"""What is typed after -m: words of the sweep itself, words of every run, and keys that vary, in Hydra's grammar."""

from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, Override, RangeSweep, Transformer

from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.config.conf_files import options
from lightning_dl2.config.identity import is_irrelevant_to_result
from lightning_dl2.config.overrides import parse
from lightning_dl2.config.schema import Config, Multirun

FIXED = ("root", "resume")  # the same for every run of a sweep
MOST_JOBS = 100_000  # each is a directory, a line of a table, and some kilobytes of memory


@dataclass(frozen=True)
class Span:
    """The numbers from `low` to `high`, both among them; integers where both are.

    Attributes:
        step: between two of them; None: any between.
        log: whether ratios count and not differences.
    """

    low: int | float
    high: int | float
    step: int | float | None
    log: bool


@dataclass(frozen=True)
class Swept:
    """A key that varies.

    Attributes:
        key: as typed, with its + where it has one.
        values: each as it would be typed; none for an interval.
        span: of a range or an interval.
    """

    key: str
    values: tuple[str, ...]
    span: Span | None = None

    @property
    def name(self) -> str:
        """The key without its +."""
        return self.key.lstrip("+")

    def __str__(self) -> str:
        if self.values:
            return f"{self.key}={','.join(self.values)}" + " (log)" * bool(self.span and self.span.log)
        assert self.span
        text = f"interval({self.span.low},{self.span.high})"
        return f"{self.key}={f'tag(log,{text})' if self.span.log else text}"


@dataclass(frozen=True)
class Words:
    """A command's words after -m.

    Attributes:
        own: of the sweep, not of its runs.
        parts: of the runs, in the order typed.
    """

    own: tuple[str, ...]
    parts: tuple[str | Swept, ...]

    def typed(self, key: str) -> str | None:
        """The one value that is typed for `key`; None: there is none, or several."""
        words = (part for part in self.parts if isinstance(part, str))
        return next((word.partition("=")[2] for word in words if word.startswith(f"{key}=")), None)

    @property
    def swept(self) -> list[Swept]:
        return [part for part in self.parts if isinstance(part, Swept)]

    def filled(self, values: dict[str, str]) -> list[str]:
        """The words of the run in which the swept keys have these values."""
        return [f"{part.key}={values[part.name]}" if isinstance(part, Swept) else part for part in self.parts]


def read(words: list[str]) -> Words:
    """Sorts a command's words.

    Raises:
        UserError: a word cannot be read, or cannot vary.
    """
    own, parts, keys = [], [], set()
    known = [*Multirun.model_fields, *Config.model_fields]
    for word in words:
        parsed = parse(word)
        top = parsed.key_or_group.partition(".")[0].partition("/")[0]
        if top not in known:
            raise UserError(f"{word}: there is no key {top}; {nearest(top, known)}")
        if top in Multirun.model_fields:
            own.append(word)
            continue
        if parsed.key_or_group in keys:
            raise UserError(f"{word}: is the second word for {parsed.key_or_group}; allowed: one")
        keys.add(parsed.key_or_group)
        parts.append(_swept(word, parsed) if parsed.is_sweep_override() else word)
    return Words(tuple(own), tuple(parts))


def _swept(word: str, parsed: Override) -> Swept:
    key, value = parsed.get_key_element(), parsed.value()
    if key in FIXED:
        raise UserError(f"{word}: allowed: one value, the same for every run")
    if is_irrelevant_to_result(key.lstrip("+")):
        raise UserError(f"{word}: makes no other run; allowed: one value")
    if getattr(value, "shuffle", False):
        raise UserError(f"{word}: allowed: without shuffle; the same words are to name the same runs")
    if isinstance(value, IntervalSweep):
        return Swept(key, (), _span(word, value, value.start, value.end, None))
    values = _values(word, parsed, value)
    if not values:
        raise UserError(f"{word}: names no value")
    if isinstance(value, RangeSweep) and len(values) > 1:
        number = int if all(isinstance(each, int) for each in (value.start, value.stop, value.step)) else float
        low, high = sorted((number(values[0]), number(values[-1])))
        return Swept(key, values, _span(word, value, low, high, abs(value.step)))
    return Swept(key, values)


def _values(word: str, parsed: Override, value: Any) -> tuple[str, ...]:
    if isinstance(value, Glob):
        return tuple(value.filter(options(parsed.key_or_group)))
    if not isinstance(value, (ChoiceSweep, RangeSweep)):
        raise UserError(f"{word}: allowed: a,b | choice(a,b) | range(start,stop) | interval(low,high) | glob(*)")
    if isinstance(value, RangeSweep) and value.step:
        assert value.start is not None and value.stop is not None  # as Hydra's grammar has it
        number = (value.stop - value.start) / value.step
        if not number <= MOST_JOBS:  # infinity and NaN are not, either
            raise UserError(f"{word}: names {number:,.0f} values; allowed: at most {MOST_JOBS:,} jobs a sweep")
    try:
        return tuple(dict.fromkeys(Transformer.str(each) for each in parsed.sweep_iterator()))
    except ValueError as error:
        raise UserError(f"{word}: {error}") from error


def _span(word: str, value: Any, low: Any, high: Any, step: Any) -> Span:
    log = "log" in value.tags
    if unknown := value.tags - {"log"}:
        raise UserError(f"{word}: tag {', '.join(sorted(unknown))}: allowed: log")
    if low > high or (low == high and step is None):
        raise UserError(f"{word}: allowed: interval(low,high) with low below high")
    if log and low <= 0:
        raise UserError(f"{word}: allowed with log: numbers above 0")
    if log and step is not None and (step != 1 or isinstance(low, float)):
        raise UserError(f"{word}: allowed with log: range(start,stop) in steps of 1, or interval(low,high)")
    return Span(low, high, step, log)
