"""Tell the format of a graph of the user's own from its path, without reading it.

The readers stand in `data/graph_files/own/readers.py`.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GraphFormat:
    """A format of files that hold one graph.

    Attributes:
        file: the file, as a message names it; None: no single file has this format.
        directory: likewise.
        suffixes: of a file, in lower case; of `a.csv.gz` the last two count together, too.
        marks: patterns of which each matches a file in a directory of this format.
    """

    file: str | None
    directory: str | None
    suffixes: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()


# The first whose marks a directory has is taken; a directory without any mark is read as CSV, whose reader says what is
# missing.
GRAPH_FORMATS = {"csv": GraphFormat(None, "a directory with nodes.csv and edges.csv", (), ("nodes.csv", "edges.csv"))}

# The names of `data`, and the formats that each reads; none: all.
OWN_GRAPHS: dict[str, tuple[str, ...]] = {"graph_csv": ("csv",), "graph_file": ()}


def find_graph_format(path: Path) -> str | None:
    """Return the key of the path's format in GRAPH_FORMATS; None: there is no reader for such a file.

    Raises:
        OSError: the path may not be read.
    """
    if path.is_dir():
        found = (name for name, kind in GRAPH_FORMATS.items() if kind.marks and _has(path, kind.marks))
        return next(found, "csv")
    endings = {path.suffix.lower(), "".join(path.suffixes[-2:]).lower()}
    kinds = GRAPH_FORMATS.items()
    return next((name for name, kind in kinds if endings & {*kind.suffixes}), None) if path.is_file() else None


def _has(directory: Path, marks: tuple[str, ...]) -> bool:
    return all(any(directory.glob(mark)) for mark in marks)


def allowed_graphs(*names: str) -> str:
    """Name the files and directories of these formats, or of all, as the end of a message."""
    kinds = [GRAPH_FORMATS[name] for name in names or GRAPH_FORMATS]
    return " or ".join(what for kind in kinds for what in (kind.file, kind.directory) if what)
