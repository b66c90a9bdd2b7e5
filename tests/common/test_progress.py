"""Test that a long preparation reports its progress."""

import pytest

from lightning_dl2.common import progress


def count(number: int) -> None:
    with progress.progress("jobs composed", number, items=True) as advance:
        for _ in range(number):
            advance(1)


@pytest.mark.slow
def test_lines_are_printed_elsewhere_than_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(progress, "DELAY", -1.0)
    monkeypatch.setattr(progress, "INTERVAL", (-1.0, -1.0))
    count(2000)
    out, err = capsys.readouterr()
    assert not out and err.splitlines()[1199] == "1,200 of 2,000 jobs composed"


def test_bytes_get_one_line_elsewhere_than_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(progress, "DELAY", -1.0)
    monkeypatch.setattr(progress, "INTERVAL", (-1.0, -1.0))
    with progress.progress("reading book.txt", None) as advance:
        advance(1)
        advance(1)
    assert capsys.readouterr() == ("", "reading book.txt ...\n")


def test_a_short_preparation_says_nothing(capsys):
    count(2)
    assert capsys.readouterr() == ("", "")
