"""What takes long says how far it is."""

from lightning_dl2.sweeps import progress_report


def test_lines_are_printed_elsewhere_than_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(progress_report, "DELAY", -1.0)
    monkeypatch.setattr(progress_report, "INTERVAL", (-1.0, -1.0))
    assert list(progress_report.progressing(range(2000), 2000, "jobs composed")) == list(range(2000))
    out, err = capsys.readouterr()
    assert not out and err.splitlines()[1200] == "1,200 of 2,000 jobs composed"


def test_what_is_done_at_once_says_nothing(capsys):
    assert list(progress_report.progressing("ab", 2, "jobs composed")) == ["a", "b"]
    assert capsys.readouterr() == ("", "")
