"""Test that docstrings and messages keep the rules of CONTRIBUTING.md; ruff's D401 holds the imperative mood."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.source import FUNCTIONS, parse, statements

ROOT = Path(__file__).parent.parent
FILES = sorted(path for top in ("lightning_dl2", "scripts") for path in (ROOT / top).rglob("*.py"))
ROOMS = sorted({"/".join(path.relative_to(ROOT).parts[:2]) for path in FILES if len(path.relative_to(ROOT).parts) > 2})

# A docstring begins with a verb or names a thing; a question word makes it a puzzle.
PUZZLES = ("What", "How", "Whether", "Of", "Where", "Who", "Why", "Which", "Whose")
# `allowed:` is followed by values, `fix:` by an instruction.
INSTRUCTIONS = "to|wait|use|set|remove|change|choose|give|write|install|pip|call|another|without"
VALUES = "a|an|the|another|one|either|only|at least|at most|without"
MISPLACED = re.compile(rf"\ballowed: (?:{INSTRUCTIONS})\b|\bfix: (?:{VALUES})\b")


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each docstring of a file."""
    tree = parse(path)
    for node in (tree, *statements(tree.body)):
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)):
            text = ast.get_docstring(node)
            if text is not None:
                name, line = getattr(node, "name", "module"), getattr(node, "lineno", 1)
                yield f"{path.relative_to(ROOT)}:{line} {name}", text


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each string but docstrings; the values in an f-string count as empty."""
    nodes = list(ast.walk(parse(path)))
    alone = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(part.value for part in node.values if isinstance(part, ast.Constant))


def files_of(room: str) -> list[Path]:
    """Return the files of a room; of "." those in no room."""
    rooms = {path: "/".join(path.relative_to(ROOT).parts[:2]) for path in FILES}
    return [path for path, own in rooms.items() if own == room or (room == "." and own.endswith(".py"))]


def test_the_rooms_are_found():
    assert {"lightning_dl2/common", "scripts/benchmarks"} < set(ROOMS)


@pytest.mark.parametrize("room", [*ROOMS, "."])
def test_docstrings_begin_with_a_verb_and_no_question_word(room):
    bad = {
        place: text.splitlines()[0]
        for path in files_of(room)
        for place, text in docstrings(path)
        if text.strip() and text.split()[0].strip("`'\".,:") in PUZZLES
    }
    assert not bad


@pytest.mark.parametrize("room", [*ROOMS, "."])
def test_allowed_is_followed_by_values_and_fix_by_an_instruction(room):
    bad = {
        f"{path.relative_to(ROOT)}:{line}": text
        for path in files_of(room)
        if re.search(r"\b(allowed|fix):", path.read_text("utf-8"))
        for line, text in messages(path)
        if MISPLACED.search(text)
    }
    assert not bad


@pytest.mark.parametrize(
    ("text", "is_bad"),
    [
        ("x: is locked; allowed: wait until it ends", True),
        ("x: is damaged; allowed: to remove it", True),
        ("x: is damaged; fix: remove it", False),
        ("x: is taken; fix: another name", True),
        ("x=3: allowed: 0 to 2", False),
        ("x=y: allowed: settings, runs of train", False),
    ],
)
def test_an_instruction_is_told_from_values(text, is_bad):
    assert bool(MISPLACED.search(text)) == is_bad
