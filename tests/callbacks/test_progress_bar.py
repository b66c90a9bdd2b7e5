"""Test the progress display on stderr: a bar on a terminal, and rare lines elsewhere."""

import io
import logging

import pytest
from rich.console import Console

from lightning_dl2.callbacks import ProgressBar, progress_bar
from tests.small import small_data, small_task, small_text, small_trainer, small_writer


def fit(bar, **options):
    data = small_data()
    trainer = small_trainer(callbacks=[bar], val_check_interval=4, check_val_every_n_epoch=None, **options)
    trainer.fit(small_task(data), data)
    return trainer


@pytest.fixture
def terminal(monkeypatch):
    """Return the output of a made-up terminal, and the bars that were started."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=150)
    monkeypatch.setattr(progress_bar, "console", lambda stderr: console if stderr else None)
    return screen


def test_a_bar_on_a_terminal(terminal):
    bar = ProgressBar(True)
    bar.interval = 0.0
    fit(bar, num_sanity_val_steps=1)
    shown = terminal.getvalue()
    assert all(f"{step}/6" in shown for step in range(1, 7))
    assert shown.index("val/accuracy") > shown.index("4/6")  # the sanity check shows no metrics
    assert "loss 2." in shown and "accuracy 0." in shown
    assert bar.bar is None


@pytest.mark.parametrize("width", [50, 70])
def test_on_a_narrow_terminal_the_steps_stay(width, monkeypatch):
    """On a narrow terminal the bar disappears first, then the last metrics."""
    screen = io.StringIO()
    monkeypatch.setattr(progress_bar, "console", lambda stderr: Console(file=screen, force_terminal=True, width=width))
    bar = ProgressBar(True)
    bar.interval = 0.0
    fit(bar, max_steps=5)
    lines = [line for line in screen.getvalue().splitlines() if "5/5" in line]
    assert lines and all("loss" in line and "accuracy" in line for line in lines)
    assert ("\u2026" in lines[-1], "val/accuracy 0." in lines[-1]) == (width == 50, width == 70)


def evaluate(bar):
    data = small_data(validation_size=48, test_size=48)
    trainer = small_trainer(callbacks=[bar], val_check_interval=4, check_val_every_n_epoch=None)
    task = small_task(data)
    for does in (trainer.fit, trainer.validate, trainer.test):
        does(task, data)


@pytest.mark.slow
def test_validations_and_tests_show_how_far_they_are(terminal):
    bar = ProgressBar(True)
    bar.interval = 0.0
    evaluate(bar)
    shown = terminal.getvalue()
    assert "validation: batch 2 of 3" in shown and shown.index("validation: batch 2 of 3") > shown.index("4/6")
    _, validated, tested = shown.split("\x1b[?25l")[1:]  # one part per bar
    for done in (1, 2, 3):
        assert f"{done}/3" in validated and f"{done}/3" in tested
    assert "validation" in validated and "test" in tested
    assert bar.bar is None


@pytest.mark.slow
def test_validations_and_tests_are_told_where_there_is_no_terminal(capsys, caplog):
    caplog.set_level(logging.INFO, "lightning_dl2")
    bar = ProgressBar(True)
    bar.interval = 0.0
    evaluate(bar)
    lines = [line for line in capsys.readouterr().err.splitlines() if "batch" in line]
    assert lines[0] == "step 4 validation: batch 1 of 3" and lines[-1] == "step 6 test: batch 3 of 3"
    assert len(lines) == 9 and lines[-1] in caplog.text


@pytest.mark.slow
def test_a_bar_knows_how_many_steps_there_will_be(terminal):
    """The bar counts 12 steps for 3 epochs of 7 batches with two batches per step and a last single one."""
    bar = ProgressBar(True)
    bar.interval = 0.0
    trainer = fit(bar, max_steps=-1, max_epochs=3, accumulate_grad_batches=2)
    assert trainer.global_step == 12 and "12/12" in terminal.getvalue()


@pytest.mark.slow
def test_accumulation_does_not_make_the_loss_shown_smaller(terminal):
    bar = ProgressBar(True)
    bar.interval = 0.0
    fit(bar, accumulate_grad_batches=4)
    assert "loss 2." in terminal.getvalue() and "loss 0." not in terminal.getvalue()


def test_the_bar_is_redrawn_by_time(terminal, monkeypatch):
    bar = ProgressBar(True)
    bar.interval = 1e6
    fit(bar)
    assert "0/6" in terminal.getvalue() and "1/6" not in terminal.getvalue()


def test_the_bar_is_closed_when_training_fails(terminal):
    bar = ProgressBar(True)
    data = small_data()
    data.train_batch = lambda step: (_ for _ in ()).throw(RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        small_trainer(callbacks=[bar]).fit(small_task(small_data()), data)
    assert bar.bar is None
    assert terminal.getvalue().endswith("\x1b[?25h\r\x1b[1A\x1b[2K")  # the cursor is visible again


def test_lines_where_there_is_no_terminal(capsys, caplog):
    caplog.set_level(logging.INFO, "lightning_dl2")
    bar = ProgressBar(True)
    bar.interval = 0.0
    fit(bar)
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(" loss")[0] for line in err.splitlines() if " loss" in line] == [
        f"step {step}" for step in range(1, 7)
    ]
    assert "val/accuracy" in caplog.text


def test_a_line_every_fifteen_seconds_by_default(capsys, monkeypatch):
    now = iter(range(0, 10_000, 4))  # each step takes 4 s
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: next(now))
    fit(ProgressBar(True), max_steps=12)
    steps = [int(line.split()[1]) for line in capsys.readouterr().err.splitlines() if " loss" in line]
    assert 2 <= len(steps) <= 4


@pytest.mark.parametrize("on_terminal", [True, False])
def test_disabled_shows_nothing_and_keeps_the_log(on_terminal, capsys, caplog, request):
    screen = request.getfixturevalue("terminal") if on_terminal else None
    caplog.set_level(logging.INFO, "lightning_dl2")
    bar = ProgressBar(False)
    bar.interval = 0.0
    fit(bar)
    out, err = capsys.readouterr()
    assert out == "" and "step" not in err and not (screen and screen.getvalue())
    assert "step 3 loss" in caplog.text and "step 4 val/loss" in caplog.text


@pytest.mark.slow
def test_a_text_fits_beside_the_bar(book, capsys, caplog):
    """The bar shows the loss in one of its three units; the log has all of them."""
    caplog.set_level(logging.INFO, "lightning_dl2")
    data, bar = small_text(book), ProgressBar(True)
    bar.interval = 0.0
    small_trainer(callbacks=[bar], val_check_interval=3, check_val_every_n_epoch=None).fit(small_writer(data), data)
    shown = [line for line in capsys.readouterr().err.splitlines() if line.startswith("step 5")]
    assert [name for name in shown[0].split() if name[0].isalpha()] == [
        "step", "loss", "accuracy", "val/loss", "val/accuracy",
    ]  # fmt: skip
    assert "val/bpc" in caplog.text and "val/loss_cold" in caplog.text
