"""train.log holds what the package, Lightning and Python's warnings say, and nothing of it reaches the terminal."""

import logging
import warnings

from lightning_dl2.log import logging_to


def test_everything_goes_to_the_file(tmp_path, capfd):
    lightning = logging.getLogger("pytorch_lightning")
    before = lightning.handlers[:], lightning.propagate, logging.getLogger().level
    with logging_to(tmp_path / "log"):
        logging.getLogger("lightning_dl2.fit").info("ours")
        logging.getLogger("pytorch_lightning.utilities.rank_zero").info("theirs")
        warnings.warn("beware", stacklevel=1)
    logging.getLogger("lightning_dl2.fit").info("later")
    text = (tmp_path / "log").read_text()
    assert all(word in text for word in ("ours", "theirs", "beware")) and "later" not in text
    assert capfd.readouterr() == ("", "")
    assert (lightning.handlers, lightning.propagate, logging.getLogger().level) == before


def test_is_utf8_whatever_the_locale(tmp_path, capfd):
    """A file's name may even hold bytes that are no characters."""
    with logging_to(tmp_path / "log"):
        handler = logging.getLogger().handlers[-1]
        # Not through the logger: pytest would keep the text, and its workers cannot send such bytes to each other.
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
    """What stops for it tells of it."""
    monkeypatch.setattr("lightning_dl2.log.open_to_append", lambda *args: open("/dev/full", "a", encoding="utf-8"))
    with logging_to(tmp_path / "log"):
        logging.getLogger("lightning_dl2").info("no room")
    assert capfd.readouterr() == ("", "")
