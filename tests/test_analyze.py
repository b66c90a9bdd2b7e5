"""The command: it says what there is, and prints a table and where the figures are."""

import errno
import os
from importlib import import_module

import pytest

from lightning_dl2.analyze import WHAT, main


@pytest.mark.parametrize("what", WHAT)
def test_help_names_the_keys(what, capsys):
    assert main([what, "--help"]) == 0
    assert "Keys, with their defaults:" in capsys.readouterr().out


def test_the_last_line_is_the_directory(tmp_path, capsys):
    assert main(["parameters", f"out={tmp_path}"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "parameters")
    assert list((tmp_path / "parameters").glob("*.png")) and list((tmp_path / "parameters").glob("*.csv"))


@pytest.mark.parametrize("what", ["bptt", "parameters"])
def test_a_place_that_cannot_be_written_is_told_before_the_work(what, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(import_module(f"lightning_dl2.analysis.{what}"), "analyze", None)
    for out in (tmp_path / "file", "/proc/nowhere"):
        assert main([what, f"out={out}"]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: out={out}/{what}: cannot be written: ") and error.count("\n") == 1


def test_a_full_disk_is_one_line(tmp_path, capsys, monkeypatch):
    def full(figure, path, **how):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    assert main(["parameters", f"out={tmp_path}"]) == 1
    error = capsys.readouterr().err
    says = f"error: {tmp_path}/parameters/parameters.png cannot be written: No space left on device, "
    assert error.startswith(says) and error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["gate"], "did you mean gates"),
        (["gates", "rum=x"], "there is no key rum"),
        (["gates", "run=x"], "run"),
        (["bptt", "threads=0"], "threads=0: allowed"),
        (["bptt", "steps=x"], "steps=x: allowed"),
        (["memory", "lengths=1"], "lengths=1: allowed: whole numbers N[,N...], 2 or more"),
        (["memory", "run=x", "seeds=2"], "seeds=2: runs are trained; allowed without run=DIR"),
        (["gates", "layer=2"], "layer=2: the net has one layer, forward; allowed with run=DIR"),
        (["gates", "checkpoint=typo"], "checkpoint=typo: allowed: best, last"),
        (["gradients", "checkpoint=last"], "checkpoint=last: untrained nets have none; allowed with run=DIR"),
        (["parameters", "hidden=10000000000"], "hidden=10000000000: allowed: whole numbers, 1 to 10000000"),
    ],
)
def test_wrong_words_are_one_line(words, says, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert says in capsys.readouterr().err and not list(tmp_path.iterdir())
