"""Read .pt files of PyG's graphs without PyG, and without running what a file may ask for.

torch.load(weights_only=True) builds tensors and plain containers. Beside these it may build the classes here, which
only hold what a file says of a `Data` and its storage.

Shapes: N nodes, E edges, G graphs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.formats.content import FileGraphs, reading
from lightning_dl2.data.graphs.libraries import read_graph

KIND = ".pt file of torch.save"
ALLOWED = "a Data of PyG, a list of them, its to_dict(), or a processed file of an InMemoryDataset"


class _Held:
    """Hold the attributes that a pickle gives an object of PyG."""

    def __init__(self, values: dict[str, Any] | None = None) -> None:
        self.__dict__.update(values or {})

    def to_dict(self) -> dict[str, Any]:
        """Return the data by name, as those of PyG."""
        store = self.__dict__.get("_store")
        held = vars(store).get("_mapping", {}) if isinstance(store, _Held) else vars(self)
        return {name: value for name, value in held.items() if name != "_parent" and not name.startswith("__")}

    @property
    def num_nodes(self) -> int:
        """Count the nodes by what has a row for each."""
        values = self.to_dict()
        if isinstance(count := values.get("num_nodes", values.get("__num_nodes__")), int):
            return count
        return max(len(values[name]) for name in ("x", "pos", "batch") if isinstance(values.get(name), Tensor))


# By their names in a file. Their modules must be PyG's: so torch finds them, and `read_graph` knows a Data.
_CLASSES = {
    name: type(name, (_Held,), {"__module__": f"torch_geometric.data.{module}"})
    for module, names in {
        "data": ("Data", "DataEdgeAttr", "DataTensorAttr"),
        "storage": ("BaseStorage", "NodeStorage", "EdgeStorage", "GlobalStorage"),
    }.items()
    for name in names
}
Data: Any = _CLASSES["Data"]


def read_torch(path: Path) -> FileGraphs:
    """Read the graph or the graphs of a file.

    Raises:
        UserError: the file is damaged, asks for other classes or functions, or holds no graphs.
    """
    with reading(path, KIND):
        try:
            with _only_ours():
                found = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            if (asked := _asked_for(str(error))) is None:
                raise
            one = "data.to_homogeneous()" if asked.endswith("HeteroData") else "data.to_dict()"
            raise UserError(
                f"data.path={path}: it asks for {asked}, which is not loaded from files; allowed: tensors and"
                f" Data of PyG; fix: save it by torch.save({one}, FILE)"
            ) from error
        graphs = _graphs(found, path)
        source = f"data.path={path}"
        return FileGraphs([read_graph(graph, source) for graph in graphs], {})


@contextmanager
def _only_ours() -> Iterator[None]:
    """Let files build no other classes than ours: PyG, once imported, allows its own of the same names."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(list(_CLASSES.values()))
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def _asked_for(message: str) -> str | None:
    """Return the class or function that torch refuses to call, by its message; None: the error is another one."""
    _, found, rest = message.partition("GLOBAL ")
    return rest.split()[0] if found and rest else None


def _graphs(found: Any, path: Path) -> list[Any]:
    """Return what the file holds as a list of Data."""
    if isinstance(found, _Held | dict):
        return [_data(found, path)]
    if isinstance(found, tuple) and len(found) in (2, 3) and isinstance(found[1], dict | None):
        whole = _data(found[0], path)  # an InMemoryDataset: its graphs in one, where each begins, and their class
        return _cut(whole.to_dict(), found[1], path) if found[1] else [whole]
    if isinstance(found, list) and found:
        return [_data(graph, path) for graph in found]
    what = f"a {type(found).__name__}" + (f" of {len(found)}" if isinstance(found, list | tuple) else "")
    raise UserError(f"data.path={path}: holds {what}; allowed: {ALLOWED}")


def _data(graph: Any, path: Path) -> Any:
    if isinstance(graph, dict):
        if "edge_index" not in graph:
            have = ", ".join(map(str, list(graph)[:12])) or "nothing"
            raise UserError(f"data.path={path}: has no edge_index; it has: {have}; allowed: {ALLOWED}")
        return Data(graph)
    if isinstance(graph, _Held):
        return graph
    raise UserError(f"data.path={path}: holds a {type(graph).__name__} as a graph; allowed: {ALLOWED}")


def _cut(whole: dict[str, Any], slices: dict[str, Any], path: Path) -> list[Any]:
    """Cut the graphs of an InMemoryDataset apart; `slices` has the first row of each graph [G + 1], by name."""
    counts = {len(starts) for starts in slices.values()}
    if len(counts) != 1 or min(counts) < 2:
        raise UserError(f"data.path={path}: its slices are of {sorted(counts)} graphs; allowed: one number of graphs")
    sizes = whole.get("_num_nodes", whole.get("__num_nodes__"))
    graphs = []
    for number in range(counts.pop() - 1):
        values = {}
        for name, starts in slices.items():
            begin, end = int(starts[number]), int(starts[number + 1])
            value = whole[name]
            along = -1 if isinstance(value, Tensor) and value.ndim > 1 and ("index" in name or name == "face") else 0
            part = value.narrow(along, begin, end - begin) if isinstance(value, Tensor) else value[begin:end]
            values[name] = part[0] if isinstance(part, list) and len(part) == 1 else part
        if "num_nodes" in values or sizes is not None:
            values["num_nodes"] = int(values["num_nodes"] if sizes is None else sizes[number])
        graphs.append(Data(values))
    return graphs
