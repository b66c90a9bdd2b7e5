"""Seed the generators of Python, NumPy and torch, so that what is drawn follows from numbers such as the step's."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

import numpy as np
import torch

DEEPEST, WIDEST = 4, 64  # nesting and length of containers in which `generators_within` looks
_PROBE = 20201


def step_seed(*numbers: int | str) -> int:
    """Mix numbers to a seed of 63 bits, so that near numbers give unrelated random streams."""
    return int.from_bytes(blake2b(repr(numbers).encode(), digest_size=8).digest()) >> 1


def seed_all(seed: int, device: str = "cpu") -> None:
    """Seed the global generators of `random`, NumPy and torch.

    Args:
        seed: of 63 bits.
        device: type of the device whose generator is seeded, too, such as "cuda" or "mps".
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    seed_device(seed, device)


def seed_device(seed: int, device: str) -> None:
    """Seed torch's generator of a device of this type, such as "cuda", alone; leave that of the CPU as it is."""
    if device != "cpu":
        getattr(torch, device).manual_seed(seed)


@contextmanager
def isolated(*numbers: int | str) -> Iterator[None]:
    """Seed the global generators from `numbers` within the block, and restore them after it."""
    before = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
    try:
        seed_all(step_seed(*numbers))
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.default_generator.set_state(before[2])


class DrawProbe:
    """Tell whether code draws from the global generators, without the cost of comparing their states.

    The generators are left in a known state.
    """

    def __init__(self) -> None:
        with isolated(_PROBE):
            self._states = random.getstate(), torch.default_generator.get_state()
            self._first = self._draw()

    @staticmethod
    def _draw() -> tuple[int, int, int]:
        drawn = int(torch.empty((), dtype=torch.int64).random_())
        return random.getrandbits(64), int.from_bytes(np.random.bytes(8)), drawn

    def begin(self) -> None:
        """Put the generators into the known state."""
        random.setstate(self._states[0])
        np.random.seed(step_seed(_PROBE) % 2**32)
        torch.default_generator.set_state(self._states[1])

    def has_drawn(self) -> bool:
        """Tell whether a number has been drawn since `begin`."""
        return self._draw() != self._first


def generators_within(*owners: Any) -> list[Any]:
    """Find the random generators that objects keep in attributes, also of their own parts, lists and dicts."""
    found: dict[int, Any] = {}
    seen: set[int] = set()

    def look(value: Any, depth: int) -> None:
        if id(value) in seen or depth > DEEPEST or isinstance(value, (str, bytes, int, float, torch.Tensor, type)):
            return
        seen.add(id(value))
        if isinstance(value, (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)):
            found[id(value)] = value
        elif isinstance(value, (list, tuple, dict)):
            if len(value) <= WIDEST:
                for item in value.values() if isinstance(value, dict) else value:
                    look(item, depth + 1)
        elif not isinstance(value, torch.nn.Module) and type(value).__module__ not in ("builtins", "numpy"):
            for item in getattr(value, "__dict__", {}).values():
                look(item, depth + 1)

    for owner in owners:
        look(owner, 0)
    return list(found.values())


def seed_generators(generators: list[Any], *numbers: int | str) -> None:
    """Seed the generators that `generators_within` found, each in its own way."""
    for place, generator in enumerate(generators):
        seed = step_seed(*numbers, place)
        if isinstance(generator, torch.Generator):
            generator.manual_seed(seed)
        elif isinstance(generator, np.random.Generator):
            kind: Any = type(generator.bit_generator)
            generator.bit_generator.state = kind(seed).state
        elif isinstance(generator, np.random.RandomState):
            generator.seed(seed % 2**32)
        else:
            generator.seed(seed)
