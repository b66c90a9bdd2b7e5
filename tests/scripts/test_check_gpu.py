"""Test scripts/gpu/: checks go on whatever one of them does, find what is broken, and hold on the CPU in short."""

import json
import os
import time
from dataclasses import replace

import pytest

from scripts.gpu import check_gpu, checklist
from scripts.gpu.checklist import Broken, Check, Figure, NotTried, Passed, Setting


def passes(setting):
    return Passed("1e-7", (Figure("step", "B 8", "ms", 2.0, 4.0, "a loop"),))


def breaks(setting):
    raise Broken("h differs by 0.1; allowed: 1e-04")


def is_not_there(setting):
    raise NotTried("needs two GPUs")


def raises(setting):
    raise KeyError("weight_hh")


def dies(setting):
    os._exit(3)


def hangs(setting):
    time.sleep(60)


CHECKS = [Check("one", "a promise", function.__name__, function) for function in (passes, breaks, is_not_there, raises)]
CHECKS += [Check("one", "a promise", "dies", dies), Check("one", "a promise", "hangs", hangs, limit=0.5)]
CHECKS += [Check("two", "another", "passes", passes)]


@pytest.fixture
def setting(tmp_path):
    return Setting("cpu", True, None, tmp_path)


@pytest.mark.slow
def test_checks_go_on_after_errors_deaths_and_hangs(setting, tmp_path):
    log = tmp_path / "log.txt"
    found = list(checklist.go_through(CHECKS, setting, 1, log))
    assert [(each.case, each.status, each.detail) for each in found] == [
        ("passes", "passed", "1e-7"),
        ("breaks", "failed", "h differs by 0.1; allowed: 1e-04"),
        ("is_not_there", "not tried", "needs two GPUs"),
        ("raises", "failed", "KeyError: 'weight_hh'"),
        ("dies", "failed", "its process ended with exit code 3; log.txt has more"),
        ("hangs", "failed", "did not end within 0.5 s"),
        ("passes", "passed", "1e-7"),
    ]
    assert "Traceback" in log.read_text() and "weight_hh" in log.read_text()
    late = list(checklist.go_through(CHECKS[:2], setting, 0, log))
    assert {(each.status, each.detail) for each in late} == {("not tried", "minutes=0 were over")}


@pytest.mark.slow
def test_the_command_writes_tables_and_names_the_first_broken_promise(tmp_path, monkeypatch, capsys):
    chosen = [CHECKS[0], CHECKS[1], CHECKS[2]]
    monkeypatch.setattr(check_gpu, "collect", lambda groups, short: chosen)
    assert check_gpu.main([f"out={tmp_path}", "device=cpu"]) == 1
    said = capsys.readouterr()
    assert said.err.endswith("the first broken promise is: a promise (breaks): h differs by 0.1; allowed: 1e-04\n")
    assert "1 passed, 1 failed, 1 not tried" in said.out
    values = json.loads((tmp_path / "check_gpu.json").read_text())
    assert [each["status"] for each in values["outcomes"]] == ["passed", "failed", "not tried"]
    assert values["facts"]["form"] == "short" and values["outcomes"][0]["figures"][0]["peer"] == 4.0
    page = (tmp_path / "check_gpu.md").read_text()
    assert (
        "| a promise | not tried | needs two GPUs | is_not_there |" in page
        and "| step | B 8 | ms | 2 | 4 | 0.5 |" in page
    )
    chosen.pop(1)
    assert check_gpu.main([f"out={tmp_path}", "device=cpu"]) == 0


def test_wrong_words_are_told(tmp_path, capsys):
    for words, told in (
        (["nothing"], "nothing: "),
        (["minutes=0"], "minutes=0: "),
        (["device=tpu"], "device=tpu: "),
        ([f"data={tmp_path}/no", "device=cpu"], "data="),
    ):
        assert check_gpu.main([f"out={tmp_path / 'out'}", *words]) == 2
        assert capsys.readouterr().err.startswith(f"error: {told}")
    assert not (tmp_path / "out").exists()


def test_cases_that_passed_share_a_row_which_shows_the_worst():
    one, other = (replace(CHECKS[0], case=case) for case in ("rnn", "lstm"))
    small, large = (
        one.outcome("passed", "1e-9", 1.0, Passed("", size=0.1)),
        other.outcome("passed", "1e-5", 2.0, Passed("", size=0.9)),
    )
    bad = one.outcome("failed", "0.1", 0.5)
    assert checklist.rows_of([small, large, bad]) == [
        ("a promise", "passed", "1e-5", "rnn; lstm", "3.0"),
        ("a promise", "failed", "0.1", "rnn", "0.5"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("group", ["recurrent", "graphs"])
def test_numbers_hold_on_the_cpu(group, setting):
    outcomes = [checklist.try_check(check, setting) for check in check_gpu.collect([group], short=True)]
    assert not [each for each in outcomes if each.status == "failed"]
    allowed = {"16-mixed needs a GPU", *{each.detail for each in outcomes if "dgl" in each.detail.lower()}}
    assert {each.detail for each in outcomes if each.status == "not tried"} <= allowed
    assert sum(each.status == "passed" for each in outcomes) > 30


@pytest.mark.slow
@pytest.mark.parametrize("name", ["palindrome", "graph"])
def test_short_runs_reach_what_the_cpu_reaches(name, setting):
    from scripts.gpu import training

    assert "on the CPU" in training.check_run(setting, name, "bf16-mixed").detail
    with pytest.raises(NotTried):
        training.check_run(setting, name, "16-mixed")


@pytest.mark.slow
def test_a_wrong_kernel_engine_and_run_are_found(setting, monkeypatch):
    import torch

    from lightning_dl2.graphs import torch_engine
    from lightning_dl2.nets.recurrent import cells, kernels
    from scripts.gpu import graphs, recurrent, training

    right = kernels.KERNELS[cells.GersPeephole]
    monkeypatch.setitem(kernels.KERNELS, cells.GersPeephole, lambda w, x, h, c: right(w, x * 1.001, h, c))
    with pytest.raises(Broken, match="differs from the CPU's by"):
        recurrent.check_cell(setting, "peephole, gers", {})
    times = torch_engine.times
    monkeypatch.setattr(torch_engine, "times", lambda matrix, x: times(matrix, x) + 1e-3 * torch.rand(()))
    with pytest.raises(Broken, match="differs|other bits"):
        graphs.check_primitive(setting, "torch", "spmm sum")
    with pytest.raises(Broken, match="val/accuracy reaches 0.1, on the CPU 0.9"):
        training.compare_reached(replace(training.RUNS["palindrome"], allowed=0.1), 0.1, 0.9)


@pytest.mark.slow
def test_figures_are_measured_beside_a_peer(setting):
    from scripts.gpu import speed

    found = [speed.time_cell(setting, "lstm", speed.SHORT_SIZE), speed.time_writing(setting, 1)]
    found += [speed.time_product(setting, 16), speed.time_training(setting, *speed.SHORT_SIZE, 3)]
    for passed in found:
        assert all(each.ours > 0 and each.peer > 0 and each.peer_name for each in passed.figures)
    assert [passed.figures[0].unit for passed in found] == ["ms", "tokens/s", "ms", "ms"]
