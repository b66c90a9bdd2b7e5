"""Test that the wheel holds all that a run needs, including conf/, and trains outside the clone."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_wheel_trains_outside_the_clone(tmp_path):
    source = tmp_path / "source"  # setuptools builds in the source tree
    source.mkdir()
    for name in ("lightning_dl2", "conf"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    # What `pip wheel` calls, without pip.
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    assert 'build-backend = "setuptools.build_meta"' in (source / "pyproject.toml").read_text(encoding="utf-8")
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")

    shipped = {path.relative_to(ROOT / "conf") for path in (ROOT / "conf").rglob("*.yaml")}
    site = tmp_path / "site" / "lightning_dl2"
    assert {path.relative_to(site / "conf") for path in (site / "conf").rglob("*.yaml")} == shipped
    package = ROOT / "lightning_dl2"
    ours = {path.relative_to(package) for path in package.rglob("*.*") if path.parent.name != "__pycache__"}
    assert {path.relative_to(site) for path in site.rglob("*.*")} - {Path("conf") / path for path in shipped} == ours

    empty = tmp_path / "empty"
    empty.mkdir()
    words = ["-m", "seed=0", "debug=fast", "data.test_size=32", "data.validation_size=32"]  # a sweep of one job
    done = subprocess.run(
        [sys.executable, "-m", "lightning_dl2.train", *words],
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(list((empty / "runs" / "palindrome").glob("*/seed=0/result.json"))) == 1
    (site / "train.py").unlink()  # the installed module ran, not the clone's
    again = subprocess.run(
        [sys.executable, "-m", "lightning_dl2.train", "--help"],
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
    )
    assert again.returncode != 0
