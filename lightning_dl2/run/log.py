"""train.log: what this package, Lightning and torch say while a run lasts, warnings included."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path

from lightning_dl2.common.files import open_to_append, writing

LIGHTNING = ("pytorch_lightning", "lightning_fabric")


class LogFile(logging.FileHandler):
    """Write train.log; leave it short where the disk is full, or a server no longer allows it.

    That stops the training where it writes what it needs, with one line.
    """

    def __init__(self, path: Path) -> None:
        # Whatever the locale. A file's name may hold bytes that are no characters; a line with them is not lost.
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
    """Appends to `path` within the block; None drops it (ranks other than the first).

    Lightning's loggers print on stderr by themselves; within the block they write here alone.

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
