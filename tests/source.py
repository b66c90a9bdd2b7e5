"""Read the source of the package: each file is parsed once, and only its statements are walked."""

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def statements(body: Sequence[ast.AST], into_functions: bool = True) -> Iterator[ast.AST]:
    """Yield the statements of a body and those within them: a tenth of all nodes, and all that can import or define."""
    for node in body:
        yield node
        if into_functions or not isinstance(node, FUNCTIONS):
            for part in ("body", "orelse", "finalbody", "handlers", "cases"):
                yield from statements(getattr(node, part, ()), into_functions)
