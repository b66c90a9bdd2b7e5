"""Load a set of graphs by its name: generate it, or read its files.

Readers check what they read and name the file; tests check what the generators make.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from lightning_dl2.builtin.data_path import check_format
from lightning_dl2.builtin.graph_data import HETEROPHILOUS, PLANAR_SAT, PLANETOID, TU_SETS, superfluous_path
from lightning_dl2.builtin.graph_formats import OWN_GRAPH_SETS, OWN_GRAPHS
from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.common.files import DISK_ERRORS
from lightning_dl2.common.paths import user_path
from lightning_dl2.data import downloads
from lightning_dl2.data.graph_files.downloads import fetch_attributes, fetch_graphs
from lightning_dl2.data.graph_files.formats.arrays import read_npz
from lightning_dl2.data.graph_files.formats.build import make_node_set
from lightning_dl2.data.graph_files.graph_sets import GraphSet, NodeSet
from lightning_dl2.data.graph_files.own.readers import read_own_graph
from lightning_dl2.data.graph_files.own.reading import PLAIN, Reading
from lightning_dl2.data.graph_files.own.set_readers import read_own_graph_set
from lightning_dl2.data.graph_files.planar_sat import read_planar_sat
from lightning_dl2.data.graph_files.planetoid import read_planetoid
from lightning_dl2.data.graph_files.ten_fold import read_ten_fold
from lightning_dl2.data.graph_files.tu_format import read_attributes, read_tu
from lightning_dl2.data.graph_files.zinc import read_zinc
from lightning_dl2.data.graphs.columns import check_classes
from lightning_dl2.data.graphs.generators import csl, karate_club, mini_gc, pattern, stochastic_block_model
from lightning_dl2.data.graphs.typed.tastes import tastes

GENERATOR_SEED = 20201  # generated graphs are the same for every seed of a run
BLOCK_MODEL = dict(num_nodes=2000, num_classes=5, average_degree=10.0, homophily=0.8, num_feats=32, signal=0.5)


@dataclass(frozen=True)
class Request:
    """Name and arguments of the set to load, of which each loader reads what it needs."""

    name: str
    path: str | None
    cache: str | None
    reading: Reading = PLAIN  # of files of the user's own
    block_model: dict[str, Any] | None = None  # of sbm
    sizes: dict[str, int] = field(default_factory=dict)  # of a generated set

    @property
    def trains(self) -> bool:
        """Tell whether the graphs are to be trained on, and not read by the net of a run."""
        return self.reading.for_run is None

    def files(self) -> Path:
        """Return where the files are, after a download if no path is given."""
        if self.path is not None:
            return user_path("data.path", self.path)
        return fetch_graphs(self.name, downloads.cache_dir(self.cache))


def _block_model(request: Request) -> NodeSet:
    return stochastic_block_model(**BLOCK_MODEL | (request.block_model or {}), seed=GENERATOR_SEED)


def _heterophilous(request: Request) -> NodeSet:
    path = request.files()
    check_format("heterophilous", path)
    path = path / f"{request.name}.npz" if path.is_dir() else path
    return make_node_set(read_npz(path), path, request.reading)


def _tu_or_ten_fold(request: Request) -> GraphSet:
    """Read a public set from a directory in the TU format, or from the text format that is downloaded."""
    files, wanted = request.files(), request.reading.node_attributes
    if files.is_dir() and any(files.glob("*_A.txt")):
        return read_tu(files, asked=request.reading)
    found = read_ten_fold(files)
    if not wanted:
        return replace(found, node_features=None) if wanted is False else found
    if request.path is not None:
        raise UserError(
            f"data.node_attributes=true: {files} is in DGCNN's format, which has none; fix: set data.path to the"
            " unpacked files of the TU collection, or leave it out"
        )
    attributes = read_attributes(fetch_attributes(request.name, downloads.cache_dir(request.cache)), found)
    return replace(found, node_features=attributes)


# The one place of each name. `builtin/graph_data.py` repeats the names, to check them without torch.
NODE_SETS: dict[str, Callable[[Request], NodeSet]] = {
    "karate_club": lambda _: karate_club(),
    "sbm": _block_model,
    "tastes": lambda _: tastes(seed=GENERATOR_SEED),
    **dict.fromkeys(PLANETOID, lambda request: read_planetoid(request.files(), request.name)),
    **dict.fromkeys(HETEROPHILOUS, _heterophilous),
    **dict.fromkeys(OWN_GRAPHS, lambda request: read_own_graph(request.files(), request.reading, request.name)),
}
GRAPH_SETS: dict[str, Callable[[Request], GraphSet]] = {
    "minigc": lambda request: mini_gc(**request.sizes, seed=GENERATOR_SEED),
    "csl": lambda _: csl(seed=GENERATOR_SEED),
    "pattern": lambda request: pattern(**request.sizes, seed=GENERATOR_SEED),
    **dict.fromkeys(TU_SETS, _tu_or_ten_fold),
    **dict.fromkeys(PLANAR_SAT, lambda request: read_planar_sat(request.files())),
    "tu": lambda request: read_tu(request.files(), asked=request.reading),
    "ten_fold": lambda request: read_ten_fold(request.files()),
    "zinc": lambda request: read_zinc(request.files()),
    **dict.fromkeys(OWN_GRAPH_SETS, lambda request: read_own_graph_set(request.files(), request.reading, request.name)),
}
Loaded = TypeVar("Loaded", NodeSet, GraphSet)


def load_node_set(
    name: str,
    path: str | None,
    *,
    reading: Reading = PLAIN,
    block_model: dict[str, Any] | None = None,
    cache: str | None = None,
) -> NodeSet:
    """Load the graph `name`, one of NODE_SETS; `reading` is that of a graph of the user's own.

    Raises:
        UserError: there is no such graph, or it is not available, or damaged.
    """
    request = Request(name, path, cache, reading=reading, block_model=block_model)
    return _load(NODE_SETS, request)


def load_graph_set(
    name: str, path: str | None, *, sizes: dict[str, int], cache: str | None, reading: Reading = PLAIN
) -> GraphSet:
    """Load the graphs `name`, one of GRAPH_SETS; `sizes` are of a generated set, `reading` of one of the user's own.

    Raises:
        UserError: there is no such set, or it is not available, or damaged.
    """
    return _load(GRAPH_SETS, Request(name, path, cache, reading=reading, sizes=sizes))


def _load(loaders: dict[str, Callable[[Request], Loaded]], request: Request) -> Loaded:
    if request.name not in loaders:
        raise UserError(f"data.name={request.name}: {nearest(request.name, list(loaders))}")
    with _from_files(request.name, request.path):
        found = loaders[request.name](request)
    if found.target == "classification" and request.reading.labelled and request.trains:
        check_classes(f"data.name={request.name}", found.class_names)
    return found


@contextmanager
def _from_files(name: str, path: str | None) -> Iterator[None]:
    """Raise UserError for a path that would not be read, and for a file that may not be read."""
    if says := superfluous_path(name, path):
        raise UserError(f"data.{says}")
    try:
        yield
    except OSError as error:
        if error.errno in DISK_ERRORS or error.filename is None:
            raise
        allowed = "allowed: a file that may be read"
        raise UserError(f"data.path={error.filename}: cannot be read ({error.strerror}); {allowed}") from error
