"""Define the errors that a command prints in one line, and find the nearest allowed names."""

from difflib import get_close_matches


class UserError(ValueError):
    """Wrong input. The message is one line: the key, its value, and what is allowed."""

    is_reported = False  # whether another process of the same run prints it


class ProcessError(RuntimeError):
    """Failure or absence of another process of the run."""

    is_reported = False


LISTED, COMPARED = 100, 10_000  # names: more would fill a screen, or take seconds


def nearest(name: str, allowed: list[str]) -> str:
    """Name those of `allowed` that were probably meant, and list them all, or of very many the first ones."""
    hint = close_to(name, allowed) if len(allowed) <= COMPARED else ""
    listed = ", ".join(allowed if len(allowed) <= LISTED else [*allowed[:8], f"... ({len(allowed)} names)"])
    return f"{hint and f'{hint} '}allowed: {listed}"


def close_to(name: str, allowed: list[str]) -> str:
    """Ask whether one of the nearest names was meant; an empty text where none is near."""
    close = get_close_matches(name, allowed, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else ""
