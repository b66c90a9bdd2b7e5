"""Define the errors that a command prints in one line, and find the nearest allowed names."""

from difflib import get_close_matches


class UserError(ValueError):
    """Wrong input. The message is one line: the key, its value, and what is allowed."""

    is_reported = False  # whether another process of the same run prints it


class ProcessError(RuntimeError):
    """Failure or absence of another process of the run."""

    is_reported = False


def nearest(name: str, allowed: list[str]) -> str:
    """Name those of `allowed` that were probably meant, and list them all."""
    hint = close_to(name, allowed)
    return f"{hint and f'{hint} '}allowed: {', '.join(allowed)}"


def close_to(name: str, allowed: list[str]) -> str:
    """Ask whether one of the nearest names was meant; an empty text where none is near."""
    close = get_close_matches(name, allowed, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else ""
