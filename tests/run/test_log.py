"""Test that train.log, and not the terminal, gets the messages of the package, Lightning and Python's warnings."""

import errno
import logging
import warnings

import pytest

from lightning_dl2.common.files import WriteError
from lightning_dl2.run.log import logging_to
from tests.failing_disk import failing_disk


def test_everything_goes_to_the_file(tmp_path, capfd):
    lightning = logging.getLogger("pytorch_lightning")
    before = lightning.handlers[:], lightning.propagate, logging.getLogger().level
    with logging_to(tmp_path / "log"):
        logging.getLogger("lightning_dl2.training.fit").info("ours")
        logging.getLogger("pytorch_lightning.utilities.rank_zero").info("theirs")
        warnings.warn("beware", stacklevel=1)
    logging.getLogger("lightning_dl2.training.fit").info("later")
    text = (tmp_path / "log").read_text()
    assert all(word in text for word in ("ours", "theirs", "beware")) and "later" not in text
    assert capfd.readouterr() == ("", "")
    assert (lightning.handlers, lightning.propagate, logging.getLogger().level) == before


def test_is_utf8_whatever_the_locale(tmp_path, capfd):
    """The log is UTF-8 in every locale, also with undecodable bytes of a file name."""
    with logging_to(tmp_path / "log"):
        handler = logging.getLogger().handlers[-1]
        # Not through the logger, because pytest would keep the text and its workers cannot exchange such bytes.
        handler.emit(logging.makeLogRecord({"msg": "read \u4e2d\u6587 in r\udcfcns"}))
        assert handler.encoding == "utf-8"
    assert (tmp_path / "log").read_text("utf-8").endswith("read \u4e2d\u6587 in r\\udcfcns\n")
    assert capfd.readouterr() == ("", "")


def test_appends(tmp_path):
    for word in ("one", "two"):
        with logging_to(tmp_path / "log"):
            logging.getLogger("lightning_dl2").info(word)
    assert len((tmp_path / "log").read_text().splitlines()) == 2


def test_a_full_disk_leaves_the_log_short_and_says_nothing(capfd, tmp_path, monkeypatch):
    """A full disk shortens the log silently; the failing training itself reports it."""
    monkeypatch.setattr("lightning_dl2.run.log.open_to_append", lambda *args: open("/dev/full", "a", encoding="utf-8"))
    with logging_to(tmp_path / "log"):
        logging.getLogger("lightning_dl2").info("no room")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.ESTALE])
def test_a_log_that_can_no_longer_be_written_says_nothing(capfd, tmp_path, number):
    with failing_disk(tmp_path, lambda _, name, __: name == "write", number) as disk, logging_to(tmp_path / "log"):
        logging.getLogger("lightning_dl2").info("no room")
    assert disk.failed and capfd.readouterr() == ("", "")


def test_a_log_that_cannot_be_opened_is_told(tmp_path):
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "log", tmp_path / "none" / "log"):
        with pytest.raises(WriteError, match=f"^{path} cannot be written: "), logging_to(path):
            pass
    assert not (tmp_path / "elsewhere").exists()
