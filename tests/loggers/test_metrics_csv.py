"""Test that metrics.csv grows by rows and columns, and that a resumed run finds it as at its checkpoint."""

import errno
import os

import pytest

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import WriteError, read_rows
from lightning_dl2.loggers.metrics_csv import MetricsCSV
from tests.failing_disk import failing_disk

LARGE = b"step,a\n" + b"9" * 5000 + b",1\n"  # Python refuses to parse so many digits


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.csv"


def log(path, *rows, last_step=0):
    logger = MetricsCSV(path, last_step)
    for step, metrics in rows:
        logger.log_metrics(metrics, step)
        logger.save()
    return logger


def steps(path):
    return [int(row["step"]) for row in read_rows(path)]


def test_rows_are_appended_and_columns_added(path):
    log(path, (1, {"a": 0.5}), (2, {"a": 1.5, "epoch": 0}), (2, {"b": 2, "step": 2.0}), (3, {"a": 0.1}))
    assert path.read_text() == "step,a,b\n1,0.5,\n2,1.5,\n2,,2.0\n3,0.1,\n"


def test_the_file_is_only_appended_to_where_no_column_is_new(path):
    logger = log(path, (1, {"a": 0.5}))
    inode = path.stat().st_ino
    logger.log_metrics({"a": 1.0}, 2)
    logger.save()
    logger.save()
    assert path.stat().st_ino == inode and steps(path) == [1, 2]


def test_values_are_exact(path):
    values = [0.1, 1 / 3, 1e-300, float("inf")]
    log(path, *((step, {"a": value}) for step, value in enumerate(values)))
    assert [float(row["a"]) for row in read_rows(path)] == values


def test_a_resumed_run_drops_the_rows_that_it_will_log_again(path):
    log(path, (10, {"a": 1}), (20, {"a": 2}), (30, {"a": 3}))
    MetricsCSV(path, last_step=20)
    assert steps(path) == [10, 20]
    log(path, (30, {"a": 4, "b": 5}), last_step=20)
    assert path.read_text() == "step,a,b\n10,1.0,\n20,2.0,\n30,4.0,5.0\n"
    MetricsCSV(path, last_step=0)
    assert steps(path) == []


def test_a_resumed_run_drops_the_test_at_what_was_the_end(path):
    log(path, (10, {"train/a": 1}), (10, {"test/a": 2}))
    MetricsCSV(path, last_step=10)
    assert [row["train/a"] for row in read_rows(path)] == ["1.0"]


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_row_cut_short_is_dropped(path, cut):
    log(path, (10, {"a": 1}), (20, {"a": 2}))
    whole = path.read_text()
    path.write_text(whole[:-cut])
    assert steps(path) == ([10] if cut < 8 else [])
    log(path, (20, {"a": 2}), last_step=10)
    assert path.read_text() == (whole if cut < 8 else "step,a\n20,2.0\n")


@pytest.mark.parametrize("content", ["", "ste", "step,a", "step,a\n"])
def test_a_file_without_rows_is_begun_anew(path, content):
    path.write_text(content)
    log(path, (1, {"a": 1}))
    assert path.read_text() == "step,a\n1,1.0\n"


def test_nothing_is_written_before_there_is_something_to_write(path):
    log(path)
    assert not path.exists() and read_rows(path) == []


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\0\n\n", b"a,b\n1,2\n", b"step,a\nx,1\n", b"\0\0\n\0\n", b"step,a\n" + b"9" * 5000 + b",1\n"]
)
def test_a_file_of_something_else_is_not_overwritten(path, content):
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path}: is damaged; fix: remove it"):
        MetricsCSV(path, 10)
    assert path.read_bytes() == content


def test_zeros_at_the_end_as_after_a_power_cut_are_dropped(path):
    log(path, (10, {"a": 1}))
    with open(path, "ab") as file:
        file.write(b"\0" * 20)
    log(path, (20, {"a": 2}), last_step=10)
    assert path.read_text() == "step,a\n10,1.0\n20,2.0\n"


def test_a_second_save_puts_the_rows_on_the_disk(path, monkeypatch):
    flushed = []
    logger = log(path, (1, {"a": 1}), (2, {"a": 2}))
    monkeypatch.setattr(os, "fsync", flushed.append)
    logger.save(), logger.save()
    assert len(flushed) == 1


ROWS = ((1, {"a": 1}), (2, {"a": 2, "b": 1}), (3, {"a": 3}), (4, {"a": 4}), (4, {"test/a": 5}))


def log_until_it_fails(path, fails, number):
    """Log ROWS, save each row as Lightning does, and end as it does; return the logger and the failure."""
    logger = MetricsCSV(path, 0)
    with failing_disk(path.parent, fails, number) as disk:
        try:
            for step, metrics in ROWS:
                logger.log_metrics(metrics, step)
                logger.save()
            status = "success"
        except WriteError as error:
            assert error.errno == number and str(error).startswith(f"{path} cannot be written: {os.strerror(number)}")
            status = "failed"
        logger.finalize(status)
    return logger, disk


@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("lasting", [False, True])
def test_whatever_write_fails_the_resumed_run_has_the_table_of_the_whole_one(path, number, lasting):
    """A resumed run has the full table after any failed write, whether the disk is full for a moment or longer."""
    _, disk = log_until_it_fails(path, lambda *_: False, number)
    whole, count = path.read_bytes(), len(disk.operations)
    assert count > 15
    for at in range(1, count + 1):
        path.unlink(missing_ok=True)
        logger, disk = log_until_it_fails(path, lambda n, *_, at=at: n == at or lasting and n > at, number)
        assert disk.failed
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        assert len({line.count(",") for line in lines}) <= 1  # all rows fit the header
        if not lasting:  # the disk had room again when Lightning saved at the end
            assert [int(row["step"]) for row in read_rows(path)] == [step for step, _ in ROWS[: len(logger.rows)]]
        log(path, *ROWS[2:], last_step=2) if len(logger.rows) > 2 else log(path, *ROWS)
        assert path.read_bytes() == whole, (at, disk.failed)
        assert not list(path.parent.glob(".*.tmp"))


def test_a_failure_is_not_hidden_by_what_the_disk_answers_at_the_end(path, caplog):
    logger = log(path, (1, {"a": 1}))
    logger.log_metrics({"a": 2}, 2)
    with failing_disk(path.parent, lambda *_: True):
        logger.finalize("failed")
        assert "metrics.csv cannot be written: No space left" in caplog.text
        with pytest.raises(WriteError):
            logger.finalize("success")


@pytest.mark.parametrize("row", ["2,1.0", "2,1.0,2.0,3.0", "\0\0\0,1.0,", ",,,", "\0", "2,1.0,2.\0"])
def test_a_row_that_does_not_fit_is_left_out_with_a_line(path, row, capsys):
    path.write_text(f"step,a,b\n1,1.0,\n{row}\n3,1.0,2.0\n")
    for _ in range(2):
        assert [row["step"] for row in MetricsCSV(path, 3).rows] == ["1", "3"]
        assert capsys.readouterr().err in (f"warning: {path}: 1 row that does not fit is left out\n" * (not _), "")
    assert path.read_text() == "step,a,b\n1,1.0,\n3,1.0,2.0\n"


@pytest.mark.parametrize("change", [lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n")])
def test_what_an_editor_makes_of_it_is_read(path, change):
    log(path, (1, {"a": 1}), (2, {"b": 2}))
    text = path.read_text()
    path.write_bytes(change(text).encode())
    log(path, (3, {"a": 3}), last_step=2)
    assert path.read_text() == text + "3,3.0,\n"


def test_columns_stand_as_in_the_file_of_a_run_in_one_go(path, tmp_path):
    """Columns have the order of an uninterrupted run, also if a part ended before its first validation."""
    whole, test = tmp_path / "whole.csv", {"test/a": 1.0, "test/b": 2.0}
    log(whole, (1, {"a": 0.5}), (2, {"val/a": 0.25}), (2, test))
    log(path, (1, {"a": 0.5}), (1, test))
    log(path, (2, {"val/a": 0.25}), (2, test), last_step=1)
    assert path.read_bytes() == whole.read_bytes()
