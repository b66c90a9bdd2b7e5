"""Read whole numbers of text files."""

from lightning_dl2.common.errors import UserError

MOST_DIGITS = 18  # all such numbers fit int64; Python refuses to read more than 4300


def whole_number(text: str, place: str, allowed: str, limit: int = 10**MOST_DIGITS) -> int:
    """Read a number from 0 to `limit` - 1, with or without spaces around it.

    Raises:
        UserError: the text is anything else; `place` is its file and line.
    """
    digits = text.strip()
    if digits.isascii() and digits.isdecimal() and len(digits) <= MOST_DIGITS and int(digits) < limit:
        return int(digits)
    raise UserError(f"{place}: {digits[:40]!r}; allowed: {allowed}")
