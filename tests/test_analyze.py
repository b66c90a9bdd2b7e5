"""Test the command `analyze`: help, the printed table, and the directory of the figures."""

import errno
import os
import shutil
from importlib import import_module

import pytest
from matplotlib.figure import Figure

from lightning_dl2 import train
from lightning_dl2.analyze import ANALYSES, main


@pytest.mark.slow
@pytest.mark.parametrize("what", ANALYSES)
def test_help_names_the_keys(what, capsys):
    assert main([what, "--help"]) == 0
    assert "Keys, with their defaults:" in capsys.readouterr().out


@pytest.mark.slow
def test_the_last_line_is_the_directory(tmp_path, capsys):
    assert main(["parameters", f"out={tmp_path}"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "parameters")
    assert list((tmp_path / "parameters").glob("*.png")) and list((tmp_path / "parameters").glob("*.csv"))


@pytest.fixture
def two(tiny, tmp_path):
    """Return two runs that differ only in their seeds."""
    words = "trainer.max_steps=5", f"root={tmp_path}/runs"
    return [train(tiny(f"seed={seed}", *words))[1]["run"].path for seed in (0, 1)]


@pytest.fixture
def titles(monkeypatch):
    """Collect the titles of the figures instead of saving them."""
    seen = []

    def watch(figure, path, **how):
        seen.append(figure.get_suptitle().replace("\n", ""))
        path.touch()

    monkeypatch.setattr(Figure, "savefig", watch)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "keys"), [("gradients", ["seeds=1"]), ("gates", ["size=8"]), ("memory", ["size=8", "lengths=6"])]
)
def test_figures_name_their_run_and_stand_in_its_place(what, keys, two, titles, tmp_path, capsys):
    name, config = "/".join(two[0].parts[-3:]), two[0] / "config.yaml"
    lines = config.read_text("utf-8").splitlines(True)
    config.write_text("".join(line for line in lines if not line.startswith("  notes:")), "utf-8")
    capsys.readouterr()
    assert main([what, f"out={tmp_path}/out", f"run={two[0]}", *keys]) == 0
    place, told = tmp_path / "out" / what / name, capsys.readouterr()
    assert told.out.splitlines()[-1] == str(place) and list(place.glob("*.png"))
    assert told.err == f"note: {config} is of an older version; added: logger.notes=null\n"  # printed once
    assert titles and all(name in title for title in titles)


@pytest.mark.slow
def test_the_figures_of_another_run_are_not_replaced(two, titles, tmp_path, capsys):
    words = ["gradients", f"out={tmp_path}/out", "seeds=1"]
    for run in (*two, two[0]):  # a run may replace its own figures
        assert main([*words, f"run={run}"]) == 0
    place = tmp_path.joinpath("out", "gradients", *two[0].parts[-3:])
    before = (place / "gradients.csv").read_bytes()
    copy = shutil.copytree(tmp_path / "runs", tmp_path / "copy")  # other runs with the same names
    assert main([*words, f"run={copy.joinpath(*two[0].parts[-3:])}"]) == 2
    assert f"out={place}: holds the figures of {two[0]}; fix:" in capsys.readouterr().err
    assert (place / "gradients.csv").read_bytes() == before


@pytest.mark.slow
def test_several_runs_are_drawn_each_and_what_cannot_be_is_named(two, titles, tiny_graph, tmp_path, capsys):
    _, graph = train(tiny_graph("trainer.max_steps=5", f"root={tmp_path}/runs"))
    keys = [f"out={tmp_path}/out", "seeds=1", "sequences=4"]
    assert main(["gradients", *keys, f"run={two[0]},{two[1]}", "checkpoint=last"]) == 0
    capsys.readouterr()
    assert main(["gradients", *keys, f"run={tmp_path}/runs"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == f"{tmp_path}/out/gradients"
    assert told.err == f"skipped: run={graph['run'].path}: is of a graph_net; allowed: " + (
        "runs of a sequence_classifier or a text_generator\n"
    )
    written = sorted("/".join(path.parts[-4:-1]) for path in (tmp_path / "out").rglob("gradients.png"))
    names = ["/".join(run.parts[-3:]) for run in two]
    assert written == sorted([*names, *(f"{name},checkpoint=last" for name in names)])


@pytest.mark.parametrize("what", ["bptt", "parameters"])
def test_a_place_that_cannot_be_written_is_told_before_the_work(what, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(import_module(f"lightning_dl2.analysis.{ANALYSES[what]}"), "analyze", None)
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
        (["memory", "run=x"], "run=x: there is no such directory"),
        (["gates", "layer=2"], "layer=2: the net has one layer, forwards; fix: give run=DIR too"),
        (["gates", "checkpoint=typo"], "checkpoint=typo: allowed: best, last"),
        (["gradients", "checkpoint=last"], "checkpoint=last: untrained nets have no checkpoint; fix: give run=DIR too"),
        (["parameters", "hidden=10000000000"], "hidden=10000000000: allowed: whole numbers, 1 to 10000000"),
    ],
)
def test_wrong_words_are_one_line(words, says, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert says in capsys.readouterr().err and not list(tmp_path.iterdir())
