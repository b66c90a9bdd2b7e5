"""Sort the overrides typed after -m: those of the sweep, those of every run, and the keys that vary."""

from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, Override, RangeSweep, Transformer

from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.config.conf_files import options
from lightning_dl2.config.identity import is_irrelevant_to_result
from lightning_dl2.config.overrides import parse_override
from lightning_dl2.config.schema import Config, Multirun

FIXED = ("root", "resume")  # the same for every run of a sweep
MOST_JOBS = 100_000  # each is a directory, a line of a table, and some kilobytes of memory


@dataclass(frozen=True)
class Span:
    """The numbers from `low` to `high`, both included; integers where both are."""

    low: int | float
    high: int | float
    step: int | float | None  # distance between two of them; None: any number between is allowed
    log: bool  # draw ratios evenly, not differences


@dataclass(frozen=True)
class SweptKey:
    """A key that varies."""

    key: str  # as typed, with its + where it has one
    values: tuple[str, ...]  # each as it would be typed; none for an interval
    span: Span | None = None  # of a range or an interval

    @property
    def name(self) -> str:
        """Return the key without its +."""
        return self.key.lstrip("+")

    def __str__(self) -> str:
        if self.values:
            return f"{self.key}={','.join(self.values)}" + " (log)" * bool(self.span and self.span.log)
        assert self.span
        text = f"interval({self.span.low},{self.span.high})"
        return f"{self.key}={f'tag(log,{text})' if self.span.log else text}"


@dataclass(frozen=True)
class SweepOverrides:
    """The overrides of a command after -m."""

    own: tuple[str, ...]  # those of the sweep itself, such as `launcher.jobs=2`
    parts: tuple[str | SweptKey, ...]  # those of the runs, in the order typed

    def value_of(self, key: str) -> str | None:
        """Return the value typed for `key`; None where the key has no value, or several."""
        fixed = (part for part in self.parts if isinstance(part, str))
        return next((each.partition("=")[2] for each in fixed if each.startswith(f"{key}=")), None)

    @property
    def swept(self) -> list[SweptKey]:
        return [part for part in self.parts if isinstance(part, SweptKey)]

    def with_values(self, values: dict[str, str]) -> list[str]:
        """Return the overrides of the run in which the swept keys have these values."""
        return [f"{part.key}={values[part.name]}" if isinstance(part, SweptKey) else part for part in self.parts]


def with_file(typed: SweepOverrides, written: list[str]) -> SweepOverrides:
    """Add the overrides that a file of conf/sweep/ writes down, in its order; a typed one takes the place of its key's.

    Raises:
        UserError: one of them cannot be read, or is of the sweep itself.
    """
    read = read_overrides(written)
    if read.own:
        raise UserError(f"sweep.overrides: {read.own[0]}: is a key of the sweep; fix: write it beside overrides")
    places = {_key(part): part for part in typed.parts}
    parts = [places.pop(_key(part), part) for part in read.parts]
    return SweepOverrides(typed.own, (*parts, *places.values()))


def _key(part: str | SweptKey) -> str:
    return part.key if isinstance(part, SweptKey) else part.partition("=")[0]


def read_overrides(overrides: list[str]) -> SweepOverrides:
    """Sort the overrides of a command.

    Raises:
        UserError: an override cannot be read, or its key cannot vary.
    """
    own, parts, keys = [], [], set()
    known = [*Multirun.model_fields, *Config.model_fields]
    for override in overrides:
        parsed = parse_override(override)
        top = parsed.key_or_group.partition(".")[0].partition("/")[0]
        if top not in known:
            raise UserError(f"{override}: there is no key {top}; {nearest(top, known)}")
        if top in Multirun.model_fields:
            own.append(override)
            continue
        if parsed.key_or_group in keys:
            raise UserError(f"{override}: sets {parsed.key_or_group} a second time; fix: set it once")
        keys.add(parsed.key_or_group)
        parts.append(_swept_key(override, parsed) if parsed.is_sweep_override() else override)
    return SweepOverrides(tuple(own), tuple(parts))


def _swept_key(override: str, parsed: Override) -> SweptKey:
    key, value = parsed.get_key_element(), parsed.value()
    if key in FIXED:
        raise UserError(f"{override}: is the same for every run of a sweep; fix: give one value")
    if is_irrelevant_to_result(key.lstrip("+")):
        raise UserError(
            f"{override}: does not change the result: every value would train the same run; fix: give one value"
        )
    if getattr(value, "shuffle", False):
        raise UserError(f"{override}: the same overrides must name the same runs; fix: remove shuffle")
    if isinstance(value, IntervalSweep):
        return SweptKey(key, (), _span(override, value, value.start, value.end, None))
    values = _values(override, parsed, value)
    if not values:
        raise UserError(f"{override}: has no value; fix: give at least one")
    if isinstance(value, RangeSweep) and len(values) > 1:
        number = int if all(isinstance(each, int) for each in (value.start, value.stop, value.step)) else float
        low, high = sorted((number(values[0]), number(values[-1])))
        return SweptKey(key, values, _span(override, value, low, high, abs(value.step)))
    return SweptKey(key, values)


def _values(override: str, parsed: Override, value: Any) -> tuple[str, ...]:
    if isinstance(value, Glob):
        return tuple(value.filter(options(parsed.key_or_group)))
    if not isinstance(value, (ChoiceSweep, RangeSweep)):
        raise UserError(f"{override}: allowed: a,b | choice(a,b) | range(start,stop) | interval(low,high) | glob(*)")
    if isinstance(value, RangeSweep) and value.step:
        assert value.start is not None and value.stop is not None  # as Hydra's grammar has it
        number = (value.stop - value.start) / value.step
        if not number <= MOST_JOBS:  # also refuses infinity and NaN
            raise UserError(f"{override}: has {number:,.0f} values; allowed: at most {MOST_JOBS:,} jobs a sweep")
    try:
        return tuple(dict.fromkeys(Transformer.str(each) for each in parsed.sweep_iterator()))
    except ValueError as error:
        raise UserError(f"{override}: {error}") from error


def _span(override: str, value: Any, low: Any, high: Any, step: Any) -> Span:
    log = "log" in value.tags
    if unknown := value.tags - {"log"}:
        raise UserError(f"{override}: tag {', '.join(sorted(unknown))}: allowed: log")
    if low > high or (low == high and step is None):
        raise UserError(f"{override}: allowed: interval(low,high) with low below high")
    if log and low <= 0:
        raise UserError(f"{override}: allowed with log: numbers above 0")
    if log and step is not None and (step != 1 or isinstance(low, float)):
        raise UserError(f"{override}: allowed with log: range(start,stop) in steps of 1, or interval(low,high)")
    return Span(low, high, step, log)
