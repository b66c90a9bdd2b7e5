"""Test that the sweep's figure draws all types of swept values."""

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
