"""Whole numbers of text files, as the readers of graphs take them."""

MOST_DIGITS = 18  # all of which int64 holds; Python refuses to read more than 4300


def whole_number(text: str) -> int | None:
    """Read a number from 0 on, with spaces around it or not; None for anything else, and for more than 18 digits."""
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= MOST_DIGITS else None
