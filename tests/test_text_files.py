"""Test that every text file is opened as UTF-8 by name, because Python's default is the locale's encoding.

ruff's PLW1514 checks what it knows to be a path or a file; this test knows methods by their names.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OPENS = {"open", "fdopen", "NamedTemporaryFile", "TemporaryFile", "TextIOWrapper", "FileHandler"}
STARTS = {"run", "Popen", "check_output"}  # functions of subprocess
POSITION = {"read_text": 0, "write_text": 1, "TextIOWrapper": 1}  # position of the argument `encoding`


def unnamed(source: str) -> list[str]:
    """Return the calls in `source` that open text without an encoding."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [ast.unparse(call) for call in calls if _opens_text(call)]


def _opens_text(call: ast.Call) -> bool:
    owner, name = getattr(call.func, "value", None), getattr(call.func, "attr", getattr(call.func, "id", None))
    keywords = {keyword.arg for keyword in call.keywords}
    if "encoding" in keywords or isinstance(owner, ast.Name) and owner.id == "os" and name == "open":
        return False
    if name in STARTS:
        return bool({"text", "universal_newlines"} & keywords)
    if name in POSITION:
        names_it = len(call.args) > POSITION[name]
        return not names_it and not (name == "write_text" and isinstance(call.func, ast.Name))  # ours writes UTF-8
    modes = [
        node.value for node in [*call.args, *(word.value for word in call.keywords)] if isinstance(node, ast.Constant)
    ]
    return name in OPENS and not any(
        isinstance(mode, str) and set(mode) <= set("rwaxb+") and "b" in mode for mode in modes
    )


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["lightning_dl2", "scripts"])
def test_names_the_encoding(folder):
    found = {str(path): unnamed(path.read_text("utf-8")) for path in (ROOT / folder).rglob("*.py")}
    # Methods of a sweep's plan, a ZipFile and a session are called open, too.
    others = ("plan.open(", "archive.open(", "Session.open(")
    found = {path: [call for call in calls if not call.startswith(others)] for path, calls in found.items()}
    assert {path: calls for path, calls in found.items() if calls} == {}


@pytest.mark.parametrize(
    "call",
    [
        "path.read_text()",
        "path.write_text(text)",
        "open(path)",
        "path.open('w')",
        "FileHandler(path)",
        "run(words, text=True)",
    ],
)
def test_finds_them(call):
    assert unnamed(call) == [call]


@pytest.mark.parametrize(
    "call", ["path.read_text('utf-8')", "write_text(path, text)", "open(path, 'rb')", "os.open(path, 0)", "run(words)"]
)
def test_leaves_others_alone(call):
    assert unnamed(call) == []
