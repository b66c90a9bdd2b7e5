"""Derive the formula of a layer's parameter count from the shapes of its weights, for any cell.

D is the size of the input, H the units. Each size of a weight is a H + b D + c: shapes at multiples of D and H tell a,
b and c.
"""

from collections import defaultdict
from fractions import Fraction
from itertools import product
from typing import Any

from lightning_dl2.nets.recurrent.lookup import layer_shapes

Powers = tuple[int, int]  # of H, of D
Polynomial = dict[Powers, Fraction]
MULTIPLES = (1, 2, 3, 5), (1, 2)  # of H, of D: a size that is rounded is no line over all of them


def derive_formula(cell: Any, input_size: int, hidden_size: int) -> Polynomial:
    """Return the coefficients of the count by the powers of H and D.

    The formula holds at these sizes. It also holds at others, unless a cell rounds a part of its sizes: the rank
    ceil(H/16) of a selective scan is H/16 in the formula if 16 divides H, and otherwise a number.

    Args:
        cell: what `find_cell` returns.
    """
    sizes = [(times * input_size, other * hidden_size) for other, times in product(*MULTIPLES)]
    shapes = [layer_shapes(cell, D, H)[0] for D, H in sizes]
    total: Polynomial = defaultdict(Fraction)
    for name, shape in shapes[0].items():
        factors: Polynomial = {(0, 0): Fraction(1)}
        for axis in range(len(shape)):
            factors = _multiply(factors, _fit(sizes, [found[name][axis] for found in shapes]))
        for powers, coefficient in factors.items():
            total[powers] += coefficient
    return {powers: coefficient for powers, coefficient in total.items() if coefficient}


def evaluate_formula(formula: Polynomial, input_size: int, hidden_size: int) -> Fraction:
    """Return the count at these sizes."""
    terms = (coefficient * hidden_size**i * input_size**j for (i, j), coefficient in formula.items())
    return sum(terms, Fraction(0))


def write_formula(formula: Polynomial) -> str:
    """Write a formula as text, such as 4 H² + 4 H D + 8 H."""
    terms = []
    for (i, j), coefficient in sorted(formula.items(), key=lambda term: (-sum(term[0]), -term[0][0])):
        letters = [letter + ("²" if power == 2 else "") for letter, power in (("H", i), ("D", j)) if power]
        whole = Fraction(int(coefficient))
        for part in (whole, coefficient - whole):
            numerator = [] if part.numerator == 1 and letters else [str(part.numerator)]
            below = "" if part.denominator == 1 else f"/{part.denominator}"
            if part:
                terms.append(" ".join([*numerator, *letters]) + below)
    return " + ".join(terms)


def _fit(sizes: list[tuple[int, int]], values: list[int]) -> Polynomial:
    """Return a H + b D + c for the values at `sizes` (D, H); the first value alone, if they are no such function."""
    (D, H), at = sizes[0], dict(zip(sizes, values, strict=True))
    by_H, by_D = Fraction(at[D, 2 * H] - at[D, H], H), Fraction(at[2 * D, H] - at[D, H], D)
    found = {(1, 0): by_H, (0, 1): by_D, (0, 0): values[0] - by_H * H - by_D * D}
    if any(evaluate_formula(found, *size) != value for size, value in at.items()):
        return {(0, 0): Fraction(values[0])}
    return {powers: coefficient for powers, coefficient in found.items() if coefficient}


def _multiply(one: Polynomial, other: Polynomial) -> Polynomial:
    result: Polynomial = defaultdict(Fraction)
    for ((i, j), a), ((k, m), b) in product(one.items(), other.items()):
        result[i + k, j + m] += a * b
    return result
