"""Run docs/extending.md from top to bottom, as a reader types it: files, commands and Python, in one directory."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from lightning_dl2.evaluate import main as evaluate
from lightning_dl2.new import main as new
from lightning_dl2.report import main as report
from lightning_dl2.train import main as train
from tests.test_docs import EXTENDING, QUIET, README, ROOT, SIZES, STEPS, tokens, told_by_help, with_words

FILE = re.compile(r"[Ii]n\s`([\w/]+\.(?:py|yaml))`:")  # the end of the paragraph before a file
SUFFIX = {"python": ".py", "yaml": ".yaml"}
SMALL = (*STEPS, *QUIET, "trainer.limit_test_batches=2")


def read_page():
    """Yield (language, content, the file that the block is, what the next block says) for each block of code."""
    parsed = tokens(EXTENDING)
    for number, token in enumerate(parsed):
        if token.type != "fence":
            continue
        before = parsed[number - 2].content if parsed[number - 2].type == "inline" else ""
        found = [path for path in FILE.findall(before) if SUFFIX.get(token.info) == Path(path).suffix]
        after = parsed[number + 1]
        says = after.content if after.type == "fence" and after.content.startswith("error: ") else None
        yield token.info, token.content, found[-1] if found and before.rstrip().endswith(":") else None, says


def type_command(words: list[str], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, says: str | None):
    if words[0] == "cd":
        monkeypatch.chdir(words[1])
        monkeypatch.setattr(sys, "path", [str(Path.cwd()), *sys.path])
        (Path.cwd() / "README.md").write_bytes(README.read_bytes())  # a text that is long enough
    elif words[0] == "export":
        monkeypatch.setenv(*words[1].split("="))
    elif words[:3] == ["python", "-m", "lightning_dl2.new"]:
        assert new(words[3:]) == 0
    elif words[:3] == ["python", "-m", "lightning_dl2.train"]:
        more = ("dry=true",) if "-m" in words[3:] else SMALL
        if {"experiment=palindrome", "experiment=short_memory", "data=sequence_task"} & {*words}:
            more = (*more, *SIZES["sequence_classifier"])
        capsys.readouterr()
        assert train(with_words(words[3:], *more)) == (2 if says else 0), words
        assert says is None or capsys.readouterr().err == says
    elif words[:3] == ["python", "-m", "lightning_dl2.evaluate"]:
        assert evaluate([f"run={next(Path('runs/digits').glob('*/seed=0'))}"]) == 0
    elif words[:3] == ["python", "-m", "lightning_dl2.report"]:
        assert report([*words[3:], "out=report.html"]) == 0
    else:
        assert words[:2] == ["python", "scripts/torture/torture.py"], words
        told_by_help([word for word in words[3:] if "." not in word.partition("=")[0]], ROOT / words[1])


@pytest.mark.slow
def test_the_page_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys, as_before):
    monkeypatch.chdir(tmp_path)
    files = 0
    try:
        for language, content, file, says in read_page():
            if file:
                Path(file).parent.mkdir(parents=True, exist_ok=True)
                assert not Path(file).exists() or language != "python", f"{file} is the scaffold's"
                Path(file).write_text(content, "utf-8")
                files += 1
            elif language == "python":
                short = re.sub(
                    r'max_steps": \d+, "val_check_interval": \d+', 'max_steps": 2, "val_check_interval": 2', content
                )
                exec(compile(short, "extending.md", "exec"), {})
            elif language == "bash":
                for line in content.splitlines():
                    type_command(shlex.split(line, comments=True), capsys, monkeypatch, says)
            elif language == "yaml":  # a part of the scaffold's experiment
                (line,) = content.splitlines()[1:]
                assert line.split(", name")[0].rstrip("}") in Path("conf/experiment/digits.yaml").read_text("utf-8")
        assert files >= 8
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "digits"]:
            del sys.modules[name]
