"""Test scripts/torture/torture.py in a short form: killed runs equal the undisturbed one, a changed one does not."""

import random
import signal

import pytest

from scripts.torture import torture
from scripts.torture.run_until_killed import RunStart

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("name", "processes", "kills"), [("text", 1, 3), ("graph", 2, 2)])
def test_killed_runs_equal_the_untouched(name, processes, kills, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(torture.EXPERIMENTS, name, (*torture.EXPERIMENTS[name], "trainer.max_steps=30"))
    line = torture.torture(name, processes, kills, 0, "fork", tmp_path, lambda *told: None)
    found = dict(zip(torture.HEADER, line, strict=True))
    assert int(found["kills"]) == kills == sum(int(found[number.name[3:]]) for number in torture.SIGNALS)
    assert int(found["values"]) > 300
    assert found["differing"] == "0", capsys.readouterr().err
    assert int(found["in the control"]) > 20


def test_one_process_of_two_is_killed_and_none_stays(tmp_path, monkeypatch):
    """After a SIGKILL of one rank, the other rank ends too."""
    one = torture.Torture("palindrome", 2, tmp_path, "fork", random.Random(0))
    words, run = one.in_root("killed")
    start = one.start(words)
    while not torture.last_step(run):
        assert not start.has_ended(), start.output.read_text()
    start.send(signal.SIGKILL, [1], group=False)
    start.wait()
    assert start.codes[1] == -signal.SIGKILL and start.codes[0] not in (0, None)


def test_wrong_words_are_told(capsys):
    for words, told in ((["nothing"], "nothing: "), (["launch=ssh"], "launch=ssh: "), (["kill=3"], "kill=3: ")):
        assert torture.main(words) == 2
        assert capsys.readouterr().err.startswith(f"error: {told}")


def test_any_bit_is_a_difference():
    import torch

    one = {"a": torch.tensor([1.0, float("nan")]), "b": 1, "c": "x"}
    assert torture.differing(one, {**one, "a": one["a"].clone()}) == []
    others = {"a": torch.tensor([1.0 + 2**-23, float("nan")]), "b": 1.0, "d": "x"}
    assert torture.differing(one, others) == ["a", "b", "c", "d"]


def test_a_life_that_ends_by_itself_needs_no_help(tmp_path):
    start = RunStart(["data.batch_size=0"], tmp_path / "output")
    assert start.wait() and start.codes == [2]
    assert start.output.read_text().startswith("error: data.batch_size=0")
