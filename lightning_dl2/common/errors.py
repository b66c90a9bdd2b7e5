"""Errors that a command tells in one line, and the nearest names to a wrong one."""

from difflib import get_close_matches


class UserError(ValueError):
    """The user's input is wrong. The message is one line: the key, its value, and what is allowed."""

    is_reported = False  # by another process of the same run


class ProcessError(RuntimeError):
    """Another process of the run has failed, or never came."""

    is_reported = False


def nearest(name: str, allowed: list[str]) -> str:
    """Says which of the `allowed` names was probably meant, and lists them all."""
    close = get_close_matches(name, allowed, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{hint}allowed: {', '.join(allowed)}"
