"""Test scripts/torture/exactness.py in a short form: in every precision, with a process for each part of a run."""

import subprocess

import pytest

from lightning_dl2 import compose
from scripts.torture import exactness
from scripts.torture.run_until_killed import RunStart
from scripts.torture.small_runs import overrides_of

pytestmark = pytest.mark.slow

CASES = {  # each covers random draws, dtypes or caches of the first steps of a process
    "a probe that draws": ("palindrome", "bf16-mixed", ("task.cell=lstm",)),
    "own kernels": ("palindrome", "64", ("task.cell=peephole",)),
    "carried state": ("text", "bf16-mixed", ("task.cell=gru",)),
    "sums of a split": ("text", "64", ("task.cell=lstm",)),
    "an import at first use": ("graph", "64", ()),
    "sums over edges": ("graphs", "bf16-mixed", ()),
    "a scalar of the optimiser": ("palindrome", "64", ("optimizer.name=NAdam",)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_in_parts_equals_the_run_in_one_go(case, tmp_path):
    name, precision, words = CASES[case]
    wrong, values = exactness.compare(name, (*words, f"trainer.precision={precision}"), tmp_path, (13, 26))
    assert wrong == [] and values > 300


def test_a_command_as_it_is_typed_resumes_as_a_forked_run(tmp_path, monkeypatch):
    """A command goes on as the uninterrupted run of a forked process, so the other tests tell of commands, too.

    tests/test_train.py has a command that begins a run.
    """

    class Start(RunStart):
        def __init__(self, overrides, output, processes, launch):
            resumes = f"root={tmp_path / 'parts'}" in overrides and "trainer.max_steps=14" in overrides
            super().__init__(overrides, output, processes, launch if resumes else "fork")
            started.append(isinstance(self.processes[0], subprocess.Popen))

    started = []
    monkeypatch.setattr(exactness, "RunStart", Start)
    words = ("task.cell=lstm", "trainer.precision=bf16-mixed")
    wrong, _ = exactness.compare("palindrome", words, tmp_path, (7, 14), launch="command")
    assert wrong == [] and started == [False, False, True]


def test_two_processes_in_parts_equal_two_in_one_go(tmp_path):
    words = ("task.cell=lstm", "trainer.precision=bf16-mixed")
    wrong, _ = exactness.compare("palindrome", words, tmp_path, (13, 26), processes=2)
    assert wrong == []


def test_another_run_is_a_difference(tmp_path, monkeypatch):
    """The negative control: a second run with another seed differs."""
    typed = exactness.overrides_of
    seeds = iter((0, 1))
    monkeypatch.setattr(exactness, "overrides_of", lambda *args: [*typed(*args), f"seed={next(seeds)}"])
    wrong, _ = exactness.compare("palindrome", (), tmp_path, (2,))
    assert "metrics.csv" in wrong and any("state_dict" in place for place in wrong)


def test_every_cell_layer_and_optimizer_is_among_the_cases():
    from lightning_dl2.nets.graph.layers import LAYERS
    from lightning_dl2.nets.recurrent.cells import CELLS

    words = {word for name in ("palindrome", "graph", "graphs") for _, typed in exactness.cases(name) for word in typed}
    assert {f"task.cell={cell}" for cell in CELLS} | {f"task.layer={layer}" for layer in LAYERS} <= words
    assert {"Adam", "LBFGS", "Muon", "NAdam"} <= set(exactness.optimizers())


@pytest.mark.parametrize("name", ["palindrome", "text", "graph", "graphs"])
def test_every_case_is_allowed(name, tmp_path):
    for experiment, typed in exactness.cases(name):
        compose(*overrides_of(experiment, 1, tmp_path), *typed)


def test_wrong_words_are_told(capsys):
    for words, told in (
        (["nothing"], "nothing: "),
        (["precisions=16"], "precisions=16: did you mean 64? allowed: 32, 64"),
        (["processes=0"], "processes=0"),
    ):
        assert exactness.main(words) == 2
        assert capsys.readouterr().err.startswith(f"error: {told}")
