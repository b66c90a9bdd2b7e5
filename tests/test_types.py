"""Test that the type checker passes the package, and that a user's checker sees the types of the public API."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lightning_dl2

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("mypy"), reason="mypy is not installed: pip install -e '.[dev]'")
def test_mypy_passes_the_package_and_sees_the_public_names(tmp_path):
    script = tmp_path / "script.py"  # a user's script, checked in the same run
    names = lightning_dl2.__all__
    script.write_text("import lightning_dl2\n" + "".join(f"reveal_type(lightning_dl2.{name})\n" for name in names))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "lightning_dl2", script], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    revealed = dict(re.findall(r"script\.py:(\d+): note: Revealed type is \"(.*)\"", done.stdout))
    assert len(revealed) == len(names)
    assert not [names[int(line) - 2] for line, found in revealed.items() if found == "Any"]
