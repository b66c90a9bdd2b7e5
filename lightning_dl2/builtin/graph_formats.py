"""Tell the format of a graph of the user's own from its path, without reading it.

The readers stand in `data/graph_files/own/readers.py`.
"""

from collections.abc import Sequence
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


# The first whose marks a directory has is taken: DGL's tables may be called nodes.csv and edges.csv, too.
GRAPH_FORMATS = {
    "dgl_csv": GraphFormat(None, "with the meta.yaml of a CSVDataset of DGL", (), ("meta.yaml",)),
    "csv": GraphFormat(
        ".csv, .tsv, .txt", "with nodes.csv and edges.csv", (".csv", ".tsv", ".txt"), ("nodes.*[ct]*", "edges.*[ct]*")
    ),
    "ogb": GraphFormat(None, "with raw/ of OGB", (), ("raw/num-node-list.csv.gz",)),
    "content": GraphFormat(".content", "with NAME.content and NAME.cites", (".content", ".cites"), ("*.content",)),
    "arrays": GraphFormat(None, "with adj.npz and labels.npy", (), ("adj*.np[yz]", "*label*.np[yz]")),
    "gml": GraphFormat(".gml", None, (".gml",)),
    "graphml": GraphFormat(".graphml", None, (".graphml",)),
    "npz": GraphFormat(".npz", None, (".npz",)),
    "torch": GraphFormat(".pt of PyG", None, (".pt", ".pth")),
    "dgl": GraphFormat(".bin of DGL", None, (".bin",)),
    "tu": GraphFormat(None, "with NAME_A.txt and others of the TU format", (), ("*_A.txt",)),
    "ten_fold": GraphFormat(".txt of DGCNN", "with 10fold_idx beside one", (".txt",), ("10fold_idx",)),
}
SETS_ALONE = ("tu", "ten_fold")  # the formats that hold no single graph

# The names of `data`, and the formats that each reads. A directory that has no format's marks counts as the last
# format's if it is the only one, whose reader says what is missing.
OWN_GRAPHS: dict[str, tuple[str, ...]] = {
    "graph_csv": ("csv",),
    "graph_file": tuple(name for name in GRAPH_FORMATS if name not in SETS_ALONE),
}
OWN_GRAPH_SETS: dict[str, tuple[str, ...]] = {"graph_set_file": ("dgl_csv", "ogb", "torch", "dgl", *SETS_ALONE)}
OWN = OWN_GRAPHS | OWN_GRAPH_SETS


def find_graph_format(path: Path, names: Sequence[str] = tuple(GRAPH_FORMATS)) -> str | None:
    """Return the key of the path's format in GRAPH_FORMATS, one of `names`; None: there is no reader for it.

    Raises:
        OSError: the path may not be read.
    """
    kinds = {name: GRAPH_FORMATS[name] for name in names}
    if path.is_dir():
        found = (name for name, kind in kinds.items() if kind.marks and _has(path, kind.marks))
        return next(found, names[0] if len(names) == 1 else None)
    endings = {path.suffix.lower(), "".join(path.suffixes[-2:]).lower()}
    return next((name for name, kind in kinds.items() if endings & {*kind.suffixes}), None) if path.is_file() else None


def _has(directory: Path, marks: tuple[str, ...]) -> bool:
    return all(any(directory.glob(mark)) for mark in marks)


def allowed_graphs(*names: str) -> str:
    """Name the files and directories of these formats, as the end of a message."""
    kinds = [GRAPH_FORMATS[name] for name in names]
    files = ", ".join(kind.file for kind in kinds if kind.file)
    folders = [f"a directory {kind.directory}" for kind in kinds if kind.directory]
    return " or ".join([*([f"a file {files}"] if files else []), *folders])
