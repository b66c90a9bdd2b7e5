"""Write train.log: the messages of this package, Lightning and torch during a run, warnings included."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path

from lightning_dl2.common.files import open_to_append, writing

LIGHTNING = ("pytorch_lightning", "lightning_fabric")


class LogFile(logging.FileHandler):
    """Write train.log; leave it incomplete where the disk is full, or a server no longer allows it.

    The training then ends with one line where it writes a file that it needs.
    """

    def __init__(self, path: Path) -> None:
        # UTF-8 whatever the locale. A file's name may hold bytes that are no characters; its line is not lost.
        super().__init__(path, encoding="utf-8", errors="backslashreplace")

    def _open(self) -> TextIOWrapper:
        """Open the file, but follow no link to another one."""
        return open_to_append(Path(self.baseFilename), "backslashreplace")

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):
            super().close()


@contextmanager
def logging_to(path: Path | None) -> Iterator[None]:
    """Append all messages to `path` within the block; None drops them, as on ranks other than the first.

    Lightning's loggers print on stderr by themselves; within the block they write only to `path`.

    Raises:
        WriteError: the file cannot be opened.
    """
    handler: logging.Handler = logging.NullHandler()
    if path:
        with writing(path):
            handler = LogFile(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root, level = logging.getLogger(), logging.getLogger().level
    kept = {name: (logging.getLogger(name).handlers[:], logging.getLogger(name).propagate) for name in LIGHTNING}
    for name in LIGHTNING:
        logging.getLogger(name).handlers, logging.getLogger(name).propagate = [], True
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()
        for name, (handlers, propagate) in kept.items():
            logging.getLogger(name).handlers, logging.getLogger(name).propagate = handlers, propagate
