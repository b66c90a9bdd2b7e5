"""train.log: what this package, Lightning and torch say while a run lasts, warnings included."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LIGHTNING = ("pytorch_lightning", "lightning_fabric")


@contextmanager
def logging_to(path: Path | None) -> Iterator[None]:
    """Appends to `path` within the block; None drops it (ranks other than the first).

    Lightning's loggers print on stderr by themselves; within the block they write here alone.
    """
    handler = logging.FileHandler(path) if path else logging.NullHandler()
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
