"""Test the page for DGL's users: both sides of each row of its tables give the same result."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lightning_dl2.graphs import Graph
from tests.small import NEEDS_DGL

pytestmark = NEEDS_DGL

PAGE = Path(__file__).parent.parent / "docs" / "from-dgl.md"
ROWS = re.findall(r"^\| `(.+?)` \| `(.+?)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """Return the names that the page's block of Python defines."""
    torch.manual_seed(0)
    (block,) = re.findall(r"```python\n(.+?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    found: dict[str, Any] = {}
    exec(compile(block, str(PAGE), "exec"), found)
    return found


def evaluate(code: str, names: dict[str, Any]) -> Any:
    """Run the statements of a cell and return the value of its last expression; its layers get known weights."""
    tree = ast.parse(code)
    last = tree.body.pop()
    assert isinstance(last, ast.Expr)
    exec(compile(tree, code, "exec"), names)
    return eval(compile(ast.Expression(last.value), code, "eval"), names)


def with_known_weights(module: nn.Module, *_: Any) -> None:
    """Set the parameters, once, to numbers that depend on neither their order nor their layout."""
    if not hasattr(module, "known"):
        module.known = True
        for parameter in module.parameters():
            nn.init.constant_(parameter, 0.1 if parameter.ndim > 1 else 0.2)


def check_same(theirs: Any, ours: Any) -> None:
    if isinstance(theirs, (list, tuple)):
        assert len(theirs) == len(ours) > 0
        for one, other in zip(theirs, ours, strict=True):
            check_same(one, other)
    elif isinstance(ours, Graph) or isinstance(theirs, Graph):
        check_same_graph(theirs, ours)
    elif hasattr(ours, "adj_tensors"):
        check_same_graph(theirs, Graph.from_dgl(ours))
    elif isinstance(theirs, torch.Tensor):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6, check_dtype=False)
    else:
        assert theirs == ours and isinstance(theirs, int)


def check_same_graph(theirs: Any, ours: Graph) -> None:
    """Compare edges, by the nodes' numbers in the whole graph, and those features that both have."""
    assert (ours.is_block, ours.num_edges) == (theirs.is_block, theirs.num_edges())
    assert (ours.num_src, ours.num_nodes) == (theirs.num_src_nodes(), theirs.num_dst_nodes())
    for name in theirs.srcdata.keys() & ours.ndata.keys():
        if not ours.is_block:
            torch.testing.assert_close(ours.ndata[name], theirs.srcdata[name])
    if ours.is_block:  # its nodes may be numbered in another order
        torch.testing.assert_close(ours.in_degrees.sort().values, theirs.in_degrees().sort().values)
        return
    src, dst = theirs.edges()
    assert sorted(zip(ours.src.tolist(), ours.dst.tolist(), strict=True)) == sorted(
        zip(src.tolist(), dst.tolist(), strict=True)
    )


@pytest.mark.parametrize(("theirs", "ours"), ROWS, ids=[theirs for theirs, _ in ROWS])
def test_both_sides_of_a_row_are_the_same(theirs, ours, names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = dict(names)
    hook = nn.modules.module.register_module_forward_pre_hook(with_known_weights)
    try:
        check_same(*(evaluate(code, names) for code in (theirs, ours)))
    finally:
        hook.remove()


def test_the_page_has_many_rows():
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert len(ROWS) == len(lines) >= 40  # no row is left out
