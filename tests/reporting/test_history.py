"""Test that extremes and last values of a metrics.csv of any length are kept in bounded memory."""

import random
import tracemalloc

import pytest

from lightning_dl2.reporting.history import BUCKETS, read_history


def write(path, rows, header="step,train/loss,val/loss"):
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


def test_a_short_run_is_kept_as_it_is(tmp_path):
    rows = ["10,2.5,", "", "10,,3.5", "20,nan,1", "20,,0.5", "30,inf", "40,1,9"]
    history = read_history(write(tmp_path / "metrics.csv", rows))
    assert history.points("train/loss") == {10: 2.5, 40: 1.0}
    assert history.points("val/loss") == {10: 3.5, 20: 0.5, 40: 9.0}  # the last of two values at a step counts
    assert history.points("absent") == {} and history.names() == ["train/loss", "val/loss"]
    assert (history.steps, history.last) == (40, {"train/loss": 1.0, "val/loss": 9.0})


def test_a_row_that_is_cut_short_does_not_count(tmp_path):
    path = write(tmp_path / "metrics.csv", ["10,2.5,"])
    path.write_text(path.read_text() + "20,1.")
    assert read_history(path).points("train/loss") == {10: 2.5}
    assert read_history(tmp_path / "absent.csv").names() == []


@pytest.mark.parametrize("rows", [["1,2,3,4"], ["nan,2"], [",2"], ["inf,2"], ["1,low"]])
def test_damage_is_told(tmp_path, rows):
    with pytest.raises(ValueError):
        read_history(write(tmp_path / "metrics.csv", rows))


@pytest.mark.slow
def test_a_long_run_keeps_its_extremes_and_its_end(tmp_path):
    draw, count = random.Random(0), 20 * BUCKETS
    values = {step: draw.gauss(0, 1) for step in range(1, count + 1)}
    values[7_777], values[33_333] = -50.0, 60.0
    rows = [f"{step},{value!r},{step % 100 / 100 if step % 1000 == 0 else ''}" for step, value in values.items()]
    history = read_history(write(tmp_path / "metrics.csv", rows))
    kept = history.points("train/loss")
    assert len(kept) <= 2 * BUCKETS + 1 and list(kept) == sorted(kept) and kept.items() <= values.items()
    assert kept[7_777] == -50.0 and kept[33_333] == 60.0 and list(kept)[-1] == count
    for number in range(0, count // history.width):  # checks each bucket
        bucket = {step: value for step, value in values.items() if step // history.width == number}
        own = [value for step, value in kept.items() if step in bucket]
        assert (min(own), max(own)) == (min(bucket.values()), max(bucket.values()))
        if number > 20:
            break
    assert len(history.points("val/loss")) == count // 1000  # rare values are all kept


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_dl2.reporting.history.BUCKETS", 16)
    peaks = []
    for count in (500, 5000):
        path = write(tmp_path / "metrics.csv", (f"{step},{step * 0.37 % 1}," for step in range(count)))
        tracemalloc.start()
        read_history(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
