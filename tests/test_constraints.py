"""Test that constraints.txt pins every package of requirements.txt, and that this environment has those versions."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
WRITE = "fix: bash scripts/lock.sh"


def read(name: str) -> list[Requirement]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if re.match("[A-Za-z0-9]", line)]


REQUIREMENTS = read("requirements.txt")
CONSTRAINTS = read("constraints.txt")


def applies(requirement: Requirement, extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def pinned(requirement: Requirement) -> str:
    (pin,) = requirement.specifier
    assert pin.operator == "==", requirement
    return pin.version


def needed(names: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the name of every installed package that these (name, extra) need in turn, with who needs it."""
    seen = set()
    todo = [(canonicalize_name(name), extra, "requirements.txt") for name, extra in names]
    while todo:
        name, extra, parent = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        yield name, parent
        for line in requires(name) or ():
            requirement = Requirement(line)
            if applies(requirement, extra):
                todo += [(canonicalize_name(requirement.name), e, name) for e in ("", *requirement.extras)]


def test_requirements_use_the_constraints():
    assert "-c constraints.txt" in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert len(CONSTRAINTS) > 2 * len(REQUIREMENTS)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.name)
def test_requirements_and_constraints_agree(requirement):
    pins = {pinned(line) for line in CONSTRAINTS if canonicalize_name(line.name) == canonicalize_name(requirement.name)}
    assert pins == {pinned(requirement)}, WRITE


def test_nothing_is_pinned_that_nobody_needs():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\w)", text)[1:]
    alone = {block.split("==")[0] for block in blocks if "# via" not in block}
    assert alone and alone <= {canonicalize_name(line.name) for line in REQUIREMENTS}, WRITE


@pytest.mark.slow
def test_this_environment_holds_the_constraints():
    direct = [line for line in REQUIREMENTS if applies(line)]
    for line in direct:
        try:
            installed = Version(distribution(line.name).version)
        except PackageNotFoundError:
            pytest.skip(f"not installed from requirements.txt: {line.name} is missing")
        if installed.public != pinned(line) or installed.local not in (None, "cpu"):  # +cu126 needs other packages
            pytest.skip(f"not installed from requirements.txt: {line.name} is {installed}")
    pins = {canonicalize_name(line.name): pinned(line) for line in CONSTRAINTS if applies(line)}
    wrong = [
        f"{name} {version}, needed by {parent}, constraints.txt: {pins.get(name)}"
        for name, parent in needed([(line.name, extra) for line in direct for extra in ("", *line.extras)])
        if (version := Version(distribution(name).version).public) != pins.get(name)
    ]
    assert not wrong, f"{WRITE}, or pip install -r requirements.txt"
