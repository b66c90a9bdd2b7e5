"""What the README says can be typed."""

import re
import shlex
from pathlib import Path

import pytest

from lightning_dl2 import compose
from lightning_dl2.analyze import ANALYSES
from lightning_dl2.common.command import settings
from lightning_dl2.inference.generate_arguments import parse
from lightning_dl2.report import main as report
from lightning_dl2.train import main
from tests.reporting.made_up import PNG, made_up_run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
RULES = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
COMMANDS = re.findall(r"^    python -m lightning_dl2\.train (?!-m )(.*)$", README, re.MULTILINE)
SWEEPS = re.findall(r"^    python -m lightning_dl2\.train -m (.*)$", README, re.MULTILINE)
WRITES = re.findall(r"^    python -m lightning_dl2\.generate (.*)$", README, re.MULTILINE)
PREDICTS = re.findall(r"^    python -m lightning_dl2\.predict (.*)$", README, re.MULTILINE)
REPORTS = re.findall(r"^    python -m lightning_dl2\.report (.*)$", README, re.MULTILINE)
FILES = sorted(set(re.findall(r"`((?:scripts|tests|conf|lightning_dl2)/[a-z\d_./]*)`", README + RULES)))
PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_there_is_something_to_test():
    assert len(COMMANDS) >= 5 and len(SWEEPS) >= 3 and len(WRITES) >= 3 and len(PREDICTS) >= 2
    assert len(REPORTS) >= 3 and len(PYTHON) == 4


@pytest.mark.parametrize("line", SWEEPS)
def test_sweeps_list_their_jobs(line, capsys, tmp_path):
    assert main(["-m", *shlex.split(line, comments=True), "dry=true", f"root={tmp_path}"]) == 0
    told = capsys.readouterr().out
    assert "missing" in told or "to be drawn" in told
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_compose(line):
    compose(*(word for word in shlex.split(line, comments=True) if not word.startswith("--") and word != "job"))


@pytest.mark.parametrize("line", WRITES)
def test_generate_knows_the_words(line):
    parse([word for word in shlex.split(line) if word != "--help"] or ["run=x"]).decoding()


@pytest.mark.parametrize("line", PREDICTS)
def test_predict_knows_the_words(line):
    settings(shlex.split(line), run="", out="", split="test", checkpoint="best")


@pytest.mark.parametrize("line", REPORTS)
def test_reports_are_made(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made_up_run(tmp_path / "runs", "experiment=mutag")
    made_up_run(tmp_path / "runs", "experiment=text")
    (tmp_path / "runs" / "mutag").rename(tmp_path / "runs" / "palindrome")  # where it stands does not matter
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "bptt.png").write_bytes(PNG)
    assert report(shlex.split(line)) == 0 and len(list(tmp_path.rglob("*.html"))) == 1


def test_every_analysis_is_named():
    assert re.findall(r"^    python -m lightning_dl2\.analyze (\w+)$", README, re.MULTILINE) == list(ANALYSES)


def test_the_first_block_installs_and_trains_the_second_tests():
    first, second, *_ = re.findall(r"^```bash\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    for block in (first, second):
        assert block.count("\n") == 1
        assert block.startswith("python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt && .venv/bin/")
    assert first.rstrip().endswith("-m lightning_dl2.train") and "-m pytest" in second


@pytest.mark.parametrize("code", PYTHON)
def test_python_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    exec(compile(code, "README.md", "exec"), {})


@pytest.mark.parametrize("path", re.findall(r"!\[[^]]+\]\(([^)]+)\)", README))
def test_pictures_exist(path):
    assert (ROOT / path).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("path", FILES)
def test_files_exist(path):
    assert (ROOT / path).exists()
