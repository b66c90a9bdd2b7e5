"""The sweep's figure draws whatever the swept values are."""

import pytest

from lightning_dl2.sweeps.figure import draw
from lightning_dl2.sweeps.words import Swept


class Reached:
    """A completed job that has reached a value."""

    number, state = 1, "completed"

    def __init__(self, value: str) -> None:
        self.varies = {"data.path": value}

    def metric(self, name: str) -> float:
        return 0.5


@pytest.mark.parametrize("history", [False, True])
def test_a_value_with_dollars_is_drawn(tmp_path, history):
    values = (r"'$\frac$.txt'", "caf\udce9.txt")
    draw(
        [Reached(value) for value in values],
        [Swept("data.path", values)],
        "val/loss",
        tmp_path / "a.png",
        history=history,
    )
    assert (tmp_path / "a.png").stat().st_size
