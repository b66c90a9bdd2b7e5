"""Test the layers of the package: imports go down only, and fast commands import little."""

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.source import FUNCTIONS, parse, statements

ROOT = Path(__file__).parent.parent
PACKAGE = "lightning_dl2"
# The packages by layer. A module imports from lower layers, and from its own package. docs/architecture.md says more.
LAYERS = (
    ("common", "graphs", "decoding"),
    ("config", "resume", "nets"),
    ("builtin", "tasks", "loggers", "distributed", "run"),
    ("data", "callbacks", "reporting"),
    ("training",),
    ("inference", "sweeps", "analysis", "scaffold"),
    ("top level",),
    ("scripts",),
)
LAYER = {package: layer for layer, packages in enumerate(LAYERS, start=1) for package in packages}
TOP_LEVEL = {"__init__", "train", "evaluate", "generate", "predict", "report", "analyze", "new"}
LARGEST = 13  # modules of a directory, its __init__ aside
# Lines that no file and no function exceeds, docstring and all: CONTRIBUTING.md asks for about 320 and 60.
LONGEST_FILE, LONGEST_FUNCTION = 330, 66


@cache
def modules() -> dict[str, Path]:
    """Return the modules of package and scripts by their dotted names."""
    files = [path for top in (PACKAGE, "scripts") for path in (ROOT / top).rglob("*.py")]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}
    return names


def package_of(module: str) -> str:
    top, *rest = module.split(".")
    if top == "scripts":
        return "scripts"
    return "top level" if not rest or rest[0] in TOP_LEVEL else rest[0]


@cache
def imports(module: str, *, lazy: bool) -> set[str]:
    """Return the imports of a module: the package's by the whole name, others by the first part.

    Args:
        lazy: whether to count imports within functions, too; those under `if TYPE_CHECKING` never count.
    """
    body = parse(modules()[module]).body
    typing = [node for node in body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    left_out = {id(inner) for node in typing for inner in statements(node.body)}
    found = set()
    for node in statements(body, into_functions=lazy):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name if alias.name in modules() else alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{module} has a relative import"
            if node.module.split(".")[0] not in (PACKAGE, "scripts"):
                found.add(node.module.split(".")[0])
                continue
            whole = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules() else node.module for name in whole.values()}
    return found


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name in modules()}


def test_every_package_has_a_layer():
    assert {package_of(module) for module in modules()} == set(LAYER) and len(LAYERS) <= 8


def test_the_top_level_is_small():
    assert {path.stem for path in (ROOT / PACKAGE).glob("*.py")} == TOP_LEVEL and len(TOP_LEVEL) <= 8


def test_imports_go_down():
    up = [
        f"{module} imports {other}"
        for module in modules()
        for other in ours(imports(module, lazy=True))
        if package_of(other) != package_of(module)
        and other != PACKAGE
        and LAYER[package_of(other)] >= LAYER[package_of(module)]
    ]
    assert not up


def test_imports_have_no_circle():
    """Imports have no circle, also within a package."""
    graph = {module: ours(imports(module, lazy=False)) - {module} for module in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_packages_are_neither_crowded_nor_empty():
    counts = {path.parent: len(list(path.parent.glob("*.py"))) - 1 for path in (ROOT / PACKAGE).rglob("__init__.py")}
    del counts[ROOT / PACKAGE]
    assert not {str(path.relative_to(ROOT)): count for path, count in counts.items() if count > LARGEST}
    assert all(count or any(path.glob("*/__init__.py")) for path, count in counts.items())


def test_files_and_functions_are_short():
    too_long = {}
    for module, path in modules().items():
        if package_of(module) == "scripts":
            continue
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE:
            too_long[module] = lines
        for node in statements(parse(path).body):
            if isinstance(node, FUNCTIONS):
                assert node.end_lineno
                if (lines := node.end_lineno - node.lineno + 1) > LONGEST_FUNCTION:
                    too_long[f"{module}.{node.name}"] = lines
    assert not too_long


def loaded(module: str) -> set[str]:
    """Return the libraries that importing a module loads, directly or by other modules of the package."""
    seen, left, libraries = set(), {module}, set()
    while left:
        name = left.pop()
        seen.add(name)
        found = imports(name, lazy=False)
        parents = {".".join(name.split(".")[:depth]) for depth in range(1, name.count(".") + 1)}
        left |= (ours(found) | ours(parents)) - seen
        libraries |= {each for each in found if each not in modules()}
    return libraries


TORCH = {"torch", "pytorch_lightning", "torchmetrics", "dgl", "wandb", "matplotlib"}
HYDRA = {"hydra", "omegaconf"}
LIGHT = {
    "common": TORCH | HYDRA,
    "config.schema": TORCH | HYDRA,
    "builtin": TORCH | HYDRA,
    "config": TORCH,
    "run": TORCH,
    "top level": TORCH,
}


@pytest.mark.parametrize("place", LIGHT)
def test_what_answers_at_once_imports_nothing_heavy(place):
    """`--help` and wrong keys need half a second, so they import no torch, which alone takes four."""
    here = [name for name in modules() if f"{name}.".startswith(f"{PACKAGE}.{place}.") or package_of(name) == place]
    heavy = {name: sorted(loaded(name) & LIGHT[place]) for name in here}
    assert here and not {name: found for name, found in heavy.items() if found}


@pytest.mark.parametrize("name", ["report", "analyze"])
def test_a_command_without_a_run_needs_not_even_pydantic_for_its_help(name):
    assert "pydantic" not in loaded(f"{PACKAGE}.{name}")


TRUNK = ("config", "training", "sweeps", "reporting", "run", "resume", "loggers", "distributed")
TRUNK_FILES = ("train", "report", "evaluate", "inference.evaluate")
COMMON_WORDS = {"text", "graph", "own", "mlp", "pattern"}  # names that are English words


def built_in_names() -> set[str]:
    """Return the names of the built-in experiments, data, tasks, cells and layers, and of their classes."""
    from lightning_dl2 import builtin
    from lightning_dl2.builtin.graph_data import PLANETOID
    from lightning_dl2.nets import CELLS, LAYERS

    experiments = {path.stem for path in (ROOT / "conf" / "experiment").rglob("[!_]*.yaml")}
    kinds = {kind for schemas in builtin.SCHEMAS.values() for kind in schemas.values()}
    classes = {kind.__name__ for kind in kinds} | {str(kind.module).rpartition(".")[2] for kind in kinds}
    names = {*builtin.DATA, *builtin.TASKS, *CELLS, *LAYERS, *PLANETOID, *experiments, *classes}
    return names - COMMON_WORDS


def test_the_trunk_knows_no_experiment_task_data_or_cell():
    """What is built in enters by the doors that a stranger has: no other room of the trunk names it."""
    names, found = built_in_names(), []
    for module in modules():
        room = module.removeprefix(f"{PACKAGE}.")
        if package_of(module) not in TRUNK and room not in TRUNK_FILES:
            continue
        nodes = list(ast.walk(parse(modules()[module])))
        docstrings = {
            id(node.body[0].value)
            for node in nodes
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and isinstance(node.body[0], ast.Expr)
        }
        for node in nodes:
            words: set[str] = set()
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                words = set(re.findall(r"\w+", node.value))
            elif isinstance(node, ast.alias):
                words = {node.name.rpartition(".")[2]}
            elif isinstance(node, ast.Name):
                words = {node.id}
            found += [f"{module}, line {node.lineno}: {word}" for word in sorted(words & names)]
    assert not found
