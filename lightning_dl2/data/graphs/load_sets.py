"""Load a set of graphs by its name: generate it, or read its files.

Readers check what they read and name the file; tests check what the generators make.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning_dl2.builtin.graph_data import superfluous_path
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import DISK_ERRORS
from lightning_dl2.common.paths import user_path
from lightning_dl2.data import downloads
from lightning_dl2.data.graph_files.downloads import fetch_graphs
from lightning_dl2.data.graph_files.graph_csv import read_csv
from lightning_dl2.data.graph_files.graph_sets import GraphSet, NodeSet
from lightning_dl2.data.graph_files.planetoid import read_planetoid
from lightning_dl2.data.graph_files.ten_fold import read_ten_fold
from lightning_dl2.data.graph_files.tu_format import read_tu
from lightning_dl2.data.graph_files.zinc import read_zinc
from lightning_dl2.data.graphs.generators import csl, karate_club, mini_gc, pattern, stochastic_block_model

GENERATOR_SEED = 20201  # generated graphs are the same for every seed of a run
BLOCK_MODEL = dict(num_nodes=2000, num_classes=5, average_degree=10.0, homophily=0.8, num_feats=32, signal=0.5)


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


def load_node_set(
    name: str, path: str | None, *, undirected: bool, block_model: dict[str, Any] | None, cache: str | None
) -> NodeSet:
    """Load the graph `name`, one of schema.NODE_SETS.

    Raises:
        UserError: it is not available, or damaged.
    """
    with _from_files(name, path):
        if name == "karate_club":
            found = karate_club()
        elif name == "sbm":
            found = stochastic_block_model(**BLOCK_MODEL | (block_model or {}), seed=GENERATOR_SEED)
        elif name == "graph_csv":
            found = read_csv(_files(name, path, cache), undirected=undirected)
        else:
            found = read_planetoid(_files(name, path, cache), name)
    _check_classes(name, found.class_names)
    return found


def load_graph_set(name: str, path: str | None, *, sizes: dict[str, int], cache: str | None) -> GraphSet:
    """Load the graphs `name`, one of schema.GRAPH_SETS; `sizes` are those of a generated set.

    Raises:
        UserError: they are not available, or damaged.
    """
    with _from_files(name, path):
        if name == "csl":
            found = csl(seed=GENERATOR_SEED)
        elif name == "minigc":
            found = mini_gc(**sizes, seed=GENERATOR_SEED)
        elif name == "pattern":
            found = pattern(**sizes, seed=GENERATOR_SEED)
        else:
            files = _files(name, path, cache)
            is_tu = name == "tu" or (name != "ten_fold" and files.is_dir() and any(files.glob("*_A.txt")))
            found = read_zinc(files) if name == "zinc" else read_tu(files) if is_tu else read_ten_fold(files)
    if found.target == "classification":
        _check_classes(name, found.class_names)
    return found


def _check_classes(name: str, classes: list[str]) -> None:
    if len(classes) < 2:
        raise UserError(f"data.name={name}: has one class only, {classes[0]}; allowed: two classes or more")


def _files(name: str, path: str | None, cache: str | None) -> Path:
    return user_path("data.path", path) if path is not None else fetch_graphs(name, downloads.cache_dir(cache))
