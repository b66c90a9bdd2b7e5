"""Test that the sweep's figure draws all types of swept values, and crosses numbers with choices."""

import pytest

from lightning_dl2.sweeps.figure import draw
from lightning_dl2.sweeps.jobs import Objective
from lightning_dl2.sweeps.overrides import SweptKey


class Reached:
    """A job that has reached a loss."""

    def __init__(self, value: str, number: int = 1, state: str = "completed", loss: float = 0.5) -> None:
        self.varies, self.number, self.state, self.loss = {"data.path": value}, number, state, loss
        self.inactive = {}

    def metric(self, name: str) -> float:
        return self.loss


@pytest.mark.slow
@pytest.mark.parametrize("history", [False, True])
def test_a_value_with_dollars_is_drawn(tmp_path, history):
    values = (r"'$\frac$.txt'", "caf\udce9.txt")
    draw(
        [Reached(value) for value in values],
        [SweptKey("data.path", values)],
        Objective("val/loss", "min"),
        tmp_path / "a.png",
        history=history,
    )
    assert (tmp_path / "a.png").stat().st_size


def test_the_best_so_far_is_of_completed_jobs_and_others_are_crosses(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr("lightning_dl2.sweeps.figure.save", lambda figure, out: saved.append(figure))
    states = {"completed": 2.0, "interrupted": 0.5, "failed": 0.1, "pruned": 0.2}
    jobs = [Reached("a", number, state, loss) for number, (state, loss) in enumerate(states.items(), start=1)]
    draw(
        [*jobs, Reached("b", 5, loss=1.0)],
        [SweptKey("data.path", ("a", "b"))],
        Objective("val/loss", "min"),
        tmp_path / "a.png",
        history=True,
    )
    history, against = saved[0].axes
    assert history.lines[0].get_xydata().tolist() == [[1, 2.0], [5, 1.0]]
    for axes in (history, against):
        assert {marks.get_label(): len(marks.get_offsets()) for marks in axes.collections} == {
            "completed": 2,
            "stopped or failed": 3,
        }


class Ran(Reached):
    """A job of a grid over lengths, cells and seeds."""

    def __init__(self, length: int, cell: str, seed: int, value: float, state: str = "completed") -> None:
        super().__init__("", state=state, loss=value)
        self.varies = {"data.sequence_length": str(length), "task.cell": cell, "seed": str(seed)}


LENGTHS = SweptKey("data.sequence_length", ("5", "10"))


def drawn(jobs, swept, tmp_path, monkeypatch, metric="val/accuracy"):
    saved = []
    monkeypatch.setattr("lightning_dl2.sweeps.figure.save", lambda figure, out: saved.append(figure))
    draw(jobs, swept, Objective(metric, "max"), tmp_path / "a.png", history=False)
    return saved[0].axes


def test_a_key_of_numbers_is_crossed_with_the_others(tmp_path, monkeypatch):
    values = {(5, "rnn"): (1.0, 0.8), (10, "rnn"): (0.5, 0.1), (5, "lstm"): (1.0, 1.0), (10, "lstm"): (0.9, 0.7)}
    jobs = [Ran(*place, seed, value) for place, pair in values.items() for seed, value in enumerate(pair)]
    jobs.append(Ran(10, "lstm", 2, 0.0, "interrupted"))  # its value is not final, and no part of the mean
    swept = [LENGTHS, SweptKey("task.cell", ("rnn", "lstm")), SweptKey("seed", ("0", "1", "2"))]
    (axes,) = drawn(jobs, swept, tmp_path, monkeypatch)
    means = {line.get_label(): line.get_xydata().round(6).tolist() for line in axes.lines}
    assert means == {"task.cell=rnn": [[5, 0.9], [10, 0.3]], "task.cell=lstm": [[5, 1.0], [10, 0.8]]}
    bands = [each for each in axes.collections if not each.get_label().startswith("stopped")]
    (x, low), (_, high) = bands[0].get_datalim(axes.transData).get_points()
    assert x == 5 and low == pytest.approx(0.3 - 0.08**0.5) and high == 1.0  # 0.9 + 0.14, but an accuracy ends at 1
    (cross,) = [each for each in axes.collections if each.get_label() == "stopped or failed"]
    assert cross.get_offsets().tolist() == [[10, 0.0]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("data.sequence_length", "val/accuracy")
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["5", "10"]


def test_more_lines_than_colours_stay_points(tmp_path, monkeypatch):
    cells = tuple("abcdefgh")
    jobs = [Ran(length, cell, 0, 0.5) for length in (5, 10) for cell in cells]
    lengths, _ = drawn(jobs, [LENGTHS, SweptKey("task.cell", cells)], tmp_path, monkeypatch)
    assert not lengths.lines and len(lengths.collections[0].get_offsets()) == 16
