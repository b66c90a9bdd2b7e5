"""Read whole numbers of text files."""

MOST_DIGITS = 18  # all such numbers fit int64; Python refuses to read more than 4300


def whole_number(text: str) -> int | None:
    """Read a number from 0 on, with or without spaces around it; None for anything else, or more than 18 digits."""
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= MOST_DIGITS else None
