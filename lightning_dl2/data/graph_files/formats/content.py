"""Hold what a file of graphs has, before it is checked and numbered by the rules for graphs in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import DISK_ERRORS
from lightning_dl2.data.graphs.libraries import GraphParts


@dataclass
class FileGraphs:
    """Graphs of one file or directory, as they are there.

    Attributes:
        graphs: with their data at nodes and edges, by name. Masks [N] or [N, K], for K splits, are data of nodes.
        labels: of the graphs, by name; empty: the graphs have none, or they stand in `graphs`.
        splits: numbers of the nodes of one graph, or of the graphs; None: there are masks, or no split.
        ids: names of the graphs; None: their numbers.
        note: what the reader left out or changed.
    """

    graphs: list[GraphParts]
    labels: dict[str, Any]
    splits: dict[str, np.ndarray] | None = None
    ids: list[str] | None = None
    note: str | None = None


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Raise UserError, in one line, for whatever a damaged or hostile file makes a library raise.

    Args:
        path: of the file that the block reads.
        kind: of file, as "GML file".
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # a damaged file can fail anywhere, with any error
        if isinstance(error, OSError) and (error.errno in DISK_ERRORS or isinstance(error, PermissionError)):
            raise
        reason = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
        raise UserError(f"data.path={path}: is damaged or no {kind} ({reason}); allowed: a whole {kind}") from error


def told(*notes: object) -> str | None:
    """Join the texts among what may be told; None: there is none."""
    return "; ".join(note for note in notes if isinstance(note, str) and note) or None
