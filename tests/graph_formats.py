"""Write one graph in every format that a user may bring, each by the library that owns it."""

import base64
import gzip
import importlib.util
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import networkx
import numpy as np
import pytest
import scipy.sparse
import torch

from lightning_dl2.graphs import dgl_available, load_dgl

# Six nodes, each pair of neighbours once; the labels are classes 0 and 1.
PAIRS = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5), (1, 4)]
FEATURES = np.array([[0.5, 1], [1.5, 0], [-2, 0], [0.25, 1], [3, 0], [0.125, 1]], np.float32)
LABELS = np.array([0, 1, 0, 1, 1, 0])
SPLITS = {"train": [0, 1, 2], "val": [3], "test": [4, 5]}
SRC, DST = np.array(PAIRS).T
MASKS = {name: np.isin(np.arange(6), members) for name, members in SPLITS.items()}
# Three splits, of which the second is SPLITS.
SEVERAL = {name: np.stack([mask[::-1], mask, np.roll(mask, 1)]) for name, mask in MASKS.items()}


def write_gml(path: Path) -> Path:
    networkx.write_gml(_networkx("class"), path / "graph.gml")
    return path / "graph.gml"


def write_graphml(path: Path) -> Path:
    networkx.write_graphml(_networkx("label"), path / "graph.graphml")
    return path / "graph.graphml"


def _networkx(label: str) -> Any:
    graph = networkx.Graph()
    for node in range(6):
        split = next(name for name, members in SPLITS.items() if node in members)
        size, weight = map(float, FEATURES[node])
        graph.add_node(node, **{label: int(LABELS[node]), "size": size, "weight": weight, "split": split})
    graph.add_edges_from(PAIRS)
    return graph


def write_heterophilous(path: Path) -> Path:
    """Write the arrays of Platonov et al.'s files."""
    masks = {f"{name}_masks": several for name, several in SEVERAL.items()}
    edges = np.array(PAIRS)
    np.savez_compressed(path / "graph.npz", node_features=FEATURES, node_labels=LABELS, edges=edges, **masks)
    return path / "graph.npz"


def write_gnn_benchmark(path: Path) -> Path:
    """Write the arrays of Shchur et al.'s files, some of which hold pickled names."""
    arrays = {"labels": LABELS, "node_names": np.array(["a", None], object), **_masks()}
    for name, matrix in (("adj", _adjacency()), ("attr", scipy.sparse.csr_matrix(FEATURES))):
        parts = ("data", "indices", "indptr", "shape")
        arrays |= {f"{name}_{part}": np.array(getattr(matrix, part)) for part in parts}
    np.savez(path / "graph.npz", **arrays)
    return path / "graph.npz"


def write_scipy(path: Path) -> Path:
    scipy.sparse.save_npz(path / "adj.npz", _adjacency().tocoo())
    scipy.sparse.save_npz(path / "features.npz", scipy.sparse.csc_matrix(FEATURES))
    np.save(path / "labels.npy", LABELS)
    for name, mask in _masks().items():
        np.save(path / f"{name}.npy", mask)
    return path


def _adjacency() -> Any:
    return scipy.sparse.csr_matrix((np.ones(len(SRC), np.float32), (SRC, DST)), shape=(6, 6))


def _masks() -> dict[str, np.ndarray]:
    return {f"{name}_mask": mask for name, mask in MASKS.items()}


def write_csv(path: Path) -> Path:
    rows = [f"{node},{LABELS[node]},{_split_of(node)},{FEATURES[node, 0]},{FEATURES[node, 1]}" for node in range(6)]
    (path / "nodes.csv").write_text("\n".join(["id,label,split,size,weight", *rows]), "utf-8")
    (path / "edges.csv").write_text("\n".join(["src,dst", *(f"{one},{other}" for one, other in PAIRS)]), "utf-8")
    return path


def _split_of(node: int) -> str:
    return next(name for name, members in SPLITS.items() if node in members)


def write_dgl_csv(path: Path) -> Path:
    """Write a CSVDataset, whose ids DGL takes as they are."""
    meta = "dataset_name: own\nedge_data:\n- file_name: edges.csv\nnode_data:\n- file_name: nodes.csv\n"
    (path / "meta.yaml").write_text(meta, "utf-8")
    rows = [
        ",".join([str(node), str(LABELS[node]), f'"{FEATURES[node, 0]}, {FEATURES[node, 1]}"', *map(str, masks)])
        for node, masks in enumerate(zip(*MASKS.values(), strict=True))
    ]
    (path / "nodes.csv").write_text("\n".join(["node_id,label,feat,train_mask,val_mask,test_mask", *rows]), "utf-8")
    (path / "edges.csv").write_text("\n".join(["src_id,dst_id", *(f"{one},{other}" for one, other in PAIRS)]), "utf-8")
    return path


def write_dgl(path: Path) -> Path:
    dgl: Any = load_dgl()
    graph = dgl.graph((torch.tensor(SRC), torch.tensor(DST)), num_nodes=6)
    graph.ndata["feat"], graph.ndata["label"] = torch.from_numpy(FEATURES), torch.from_numpy(LABELS)
    for name, mask in MASKS.items():
        graph.ndata[f"{name}_mask"] = torch.from_numpy(mask)
    dgl.save_graphs(str(path / "graph.bin"), [graph])
    return path / "graph.bin"


def write_ogb(path: Path) -> Path:
    """Write the tables of an OGB set of nodes, with one split."""
    tables: dict[str, Any] = {"edge": PAIRS, "node-feat": FEATURES, "node-label": LABELS[:, None]}
    tables |= {"num-node-list": [[6]], "num-edge-list": [[len(PAIRS)]]}
    for name, rows in tables.items():
        gzip_table(path / "raw" / f"{name}.csv.gz", rows)
    for name, members in SPLITS.items():
        name = {"val": "valid"}.get(name, name)
        gzip_table(path / "split" / "time" / f"{name}.csv.gz", [[node] for node in members])
    return path


def gzip_table(path: Path, rows: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(",".join(map(str, row)) + "\n" for row in rows).encode()))


def write_content(path: Path) -> Path:
    """Write Cora's first form, in which words are numbers and a line of .cites ends with the citing paper."""
    rows = ["\t".join([f"paper{node}", *map(str, FEATURES[node]), str(LABELS[node])]) for node in range(6)]
    (path / "own.content").write_text("\n".join(rows) + "\n", "utf-8")
    (path / "own.cites").write_text("".join(f"paper{other}\tpaper{one}\n" for one, other in PAIRS), "utf-8")
    return path


def parts() -> dict[str, torch.Tensor]:
    """Return the graph by the names of PyG."""
    masks = {name: torch.from_numpy(mask) for name, mask in _masks().items()}
    edges = torch.tensor(np.stack([SRC, DST]))
    return {"x": torch.from_numpy(FEATURES), "edge_index": edges, "y": torch.from_numpy(LABELS), **masks}


def write_pyg(path: Path) -> Path:
    from torch_geometric.data import Data

    torch.save(Data(**parts()), path / "graph.pt")
    return path / "graph.pt"


def write_pyg_processed(path: Path) -> Path:
    from torch_geometric.data import Data, InMemoryDataset

    InMemoryDataset.save([Data(**parts())], str(path / "data.pt"))
    return path / "data.pt"


def write_pyg_dictionary(path: Path) -> Path:
    torch.save(parts(), path / "graph.pt")
    return path / "graph.pt"


def write_pyg_without_it(path: Path) -> Path:
    """Write what torch.save(Data(...)) writes, without PyG: objects of classes of these names, in such a state."""
    with patch.dict(sys.modules, pretended_pyg()):
        torch.save(pretended_data(parts()), path / "graph.pt")
    return path / "graph.pt"


# A set of graphs: nodes, pairs of neighbours, class. The features of a node are its number in the graph, halved.
GRAPHS = [(3, [(0, 1), (1, 2)], 0), (2, [(0, 1)], 1), (4, [(0, 1), (1, 2), (2, 3), (0, 3)], 0), (3, [(1, 2)], 1)]
GRAPH_LABELS = [label for _, _, label in GRAPHS]


def node_features(count: int) -> Any:
    return torch.arange(count)[:, None] / 2 + torch.tensor([0, 0.25])


def graph_parts() -> list[dict[str, Any]]:
    return [
        {"x": node_features(count), "edge_index": torch.tensor(pairs).T, "y": torch.tensor([label])}
        for count, pairs, label in GRAPHS
    ]


def write_pyg_list(path: Path) -> Path:
    with patch.dict(sys.modules, pretended_pyg()):
        torch.save([pretended_data(values) for values in graph_parts()], path / "graphs.pt")
    return path / "graphs.pt"


def write_pyg_dataset(path: Path) -> Path:
    from torch_geometric.data import Data, InMemoryDataset

    InMemoryDataset.save([Data(**values) for values in graph_parts()], str(path / "data.pt"))
    return path / "data.pt"


def write_pyg_dataset_without_it(path: Path) -> Path:
    """Write what InMemoryDataset.save writes: all graphs in one, where each begins, and their class."""
    values = graph_parts()
    whole = {name: torch.cat([one[name] for one in values], int(name == "edge_index")) for name in values[0]}
    sizes = {"x": [len(one["x"]) for one in values], "edge_index": [one["edge_index"].shape[1] for one in values]}
    slices = {name: torch.tensor([0, *np.cumsum(counts)]) for name, counts in (sizes | {"y": [1] * 4}).items()}
    with patch.dict(sys.modules, pretended_pyg()):
        torch.save((whole, slices, CLASSES["Data"]), path / "data.pt")
    return path / "data.pt"


def write_dgl_set(path: Path) -> Path:
    dgl: Any = load_dgl()
    graphs = []
    for count, pairs, _ in GRAPHS:
        graphs.append(dgl.graph(tuple(torch.tensor(pairs).T), num_nodes=count))
        graphs[-1].ndata["feat"] = node_features(count)
    dgl.save_graphs(str(path / "graphs.bin"), graphs, {"label": torch.tensor(GRAPH_LABELS), "weight": torch.ones(4)})
    return path / "graphs.bin"


def write_dgl_csv_set(path: Path) -> Path:
    tables = {"node": ["graph_id,node_id,feat"], "edge": ["graph_id,src_id,dst_id"], "graph": ["graph_id,label"]}
    for number, (count, pairs, label) in enumerate(GRAPHS):
        rows = node_features(count).tolist()
        tables["node"] += [f'g{number},{node},"{one}, {other}"' for node, (one, other) in enumerate(rows)]
        tables["edge"] += [f"g{number},{one},{other}" for one, other in pairs]
        tables["graph"].append(f"g{number},{label}")
    meta = "dataset_name: own\n" + "".join(f"{item}_data:\n- file_name: {item}s.csv\n" for item in ("node", "edge"))
    (path / "meta.yaml").write_text(f"{meta}graph_data:\n  file_name: graphs.csv\n", "utf-8")
    for item, lines in tables.items():
        (path / f"{item}s.csv").write_text("\n".join(lines), "utf-8")
    return path


def write_ogb_set(path: Path) -> Path:
    tables = {
        "edge": [pair for _, pairs, _ in GRAPHS for pair in pairs],
        "node-feat": [row for count, _, _ in GRAPHS for row in node_features(count).tolist()],
        "graph-label": [[label] for label in GRAPH_LABELS],
        "num-node-list": [[count] for count, _, _ in GRAPHS],
        "num-edge-list": [[len(pairs)] for _, pairs, _ in GRAPHS],
    }
    for name, rows in tables.items():
        gzip_table(path / "raw" / f"{name}.csv.gz", rows)
    for name, graphs in (("train", [[0], [1]]), ("valid", [[2]]), ("test", [[3]])):
        gzip_table(path / "split" / "scaffold" / f"{name}.csv.gz", graphs)
    return path


def write_tu(path: Path) -> Path:
    starts = np.cumsum([0, *(count for count, _, _ in GRAPHS)])
    of = [number for number, (count, _, _) in enumerate(GRAPHS, start=1) for _ in range(count)]
    edges = [(start + a + 1, start + b + 1) for start, (_, p, _) in zip(starts, GRAPHS, strict=False) for a, b in p]
    rows = [row for count, _, _ in GRAPHS for row in node_features(count).tolist()]
    both = [f"{one}, {other}\n{other}, {one}\n" for one, other in edges]
    texts = {"A": both, "graph_indicator": [f"{n}\n" for n in of], "graph_labels": [f"{n}\n" for n in GRAPH_LABELS]}
    texts["node_attributes"] = [f"{one}, {other}\n" for one, other in rows]
    for name, lines in texts.items():
        (path / f"OWN_{name}.txt").write_text("".join(lines), "utf-8")
    return path


def write_dgcnn(path: Path) -> Path:
    lines = [str(len(GRAPHS))]
    for count, pairs, label in GRAPHS:
        lines.append(f"{count} {label}")
        for node, (one, other) in enumerate(node_features(count).tolist()):
            near = [a + b - node for a, b in pairs if node in (a, b)]
            lines.append(" ".join(map(str, (0, len(near), *near, one, other))))
    (path / "OWN.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return path / "OWN.txt"


NAMES = {"data": ("Data", "DataEdgeAttr", "DataTensorAttr"), "storage": ("GlobalStorage",)}
CLASSES = {
    name: type(name, (), {"__module__": f"torch_geometric.data.{module}"})
    for module, names in NAMES.items()
    for name in names
}


def pretended_pyg() -> dict[str, ModuleType]:
    modules = {name: ModuleType(name) for name in ("torch_geometric", "torch_geometric.data")}
    for module, names in NAMES.items():
        modules[f"torch_geometric.data.{module}"] = made = ModuleType(module)
        vars(made).update({name: CLASSES[name] for name in names})
    return modules


def pretended_data(values: dict[str, Any]) -> Any:
    data, store = CLASSES["Data"](), CLASSES["GlobalStorage"]()
    vars(store).update(_mapping=values, _parent=data)
    attributes = {"_edge_attr_cls": CLASSES["DataEdgeAttr"], "_tensor_attr_cls": CLASSES["DataTensorAttr"]}
    vars(data).update(attributes, _store=store)
    return data


# dgl.save_graphs of DGL 2.1.0 wrote this file of `write_dgl`, compressed by zlib.
DGL_FILE = (
    "eNrdGGtsU1X43tI9YIHdTZYMXEwxMZ2IUJHhRKRXw2MZyObKdCBhLVLDdEBxQwlgKOpMFIhDxyObi5uPCMPgEhaBiKwgIAQMSzDR"
    "mFQqStgkQIcMhmzU3u873733nLXbsp+erDk93/t9TudsbJkdLpgYtEi4aJclfuV2uvPvbUS41YTPPJqUcbdYkpYfP5hXG8WHfk8u"
    "qgU6pPC3/jxbO6818SdEP4mMf9fJOpeG7165E3ZpahrsTdc/hL2Z8UmMT52fB/rCS5pAn74iuK09sx3lSMgfFvTS2sXkk/7cfww6"
    "bWXfwLOF+Ut61RsGXaI5TvSF+UFHd5dhP9opI5IRyEyvcnwuyJcCGM/Q1EPgH8Hp3GY9OVo7n4pjB/nj7ub9oS+Ur6gdKSkamOmT"
    "t66eAvFmZ4nxk97mOHbZbiKdqG/bt/k5kAdZ9xvjwM4vMrzv2XUFRh4jslpR5TLzUR2J8skPOnvn3Ab7RbhJP39m9GHml3ppgt1c"
    "T+s3rwY7bBoj/KFdyQz/WdoYjNe/hl2ylBItQ1QQSLFydaAy+5WxN1I1fY5pvD5bF8lh/m57EuQT3/ilmVw8I5HI+g25vzhFv0KV"
    "m1y1USDJMfoByliqvhU7X6r9LthF8cs9PCxngHgCPZ0Pf4f0/r/QrzbbYuw/5pcN61KmeItrdw7q38H60qJnDf9oPoSWp8N+4coy"
    "lzl+/odfQH2PXx2lySF6mzBfiF/Ejxvh5fKlvNMMde7vQH/e9lfPMfMF7hjzQVsNZRMwHrdZfFmc2zbeKorVjxQHsZ4J0P29b4rQ"
    "P1z8Wxme5IbUdQUarmFmdNdCNhP7Ss0YXoRxklPhs+pdjBvMy8WSwuqX6pHsoD4n9Yt2o77rvW9dPNR7bZgUY9WaykTtcev9DkAW"
    "F9SbJVVfS3BAPp4b8+WdJKMgCg8snGyO9+4TmB/bXeSvbk9zmOpDtyfgXQ5wv+uPIjNev1ckOc/8afxmEc59Rte27BzM1VzuPsnS"
    "4eqay5xcgtMc3Pf5S1z9/LkLzxTHwq6TReZ69d6H/ZFZ13T+9Meug+Gn+Hmg+Ibz96IAJ/mEJ7/1fnqvGOCUqMrL06A/yY/MH+u4"
    "+4/kiXCSn/BbAewN+8rBn3lbnZPAP23emPTSvPGdnjGJ4GY8xS+b8SsEX7Ed8u2+iHzvb17IydVXRxIPDy7j3wHMXrI/xOqQ6lGf"
    "u7IUc9HcPJv7ck5M/eb5UGzIXboqAP0RBdn74yO7qOIdVZCnYon9UbwHslezs8Zk7+bOaf3am8jwCusj3wfFLsSgXpKj13uPfh/B"
    "vTFQ3Abrv9pbZmd04Gf9mr1XdSOKDf2kNyDEQbw3fQyfsWnFE/3pHSfgT0Xc+UY9ylLeMA/IKTHuS5wf0fnDohRzUX/rdd6K83Xk"
    "rxUus58Nc5+Gus5+rCaV7j9/dE5TPJQN6HfbatzJnu4FPanms75m9TA5CN9Y1b//1LcOo36sCouz1oPN885S/ng9cVb7fpyfoect"
    "CtjN9upe7r0rU74ofiUnaK5gvhV2v9Zew3ctLfuxAi4PnzB8vHnTUIJzQ50+g5sr7iwn4A9GcIl+BGomw/w+XfYIJ5f8ITndV34a"
    "bT5v2Z5fYKbP+GIB6B0t83my0ZcDiQ98lbbzo1P5R0GOn9lD87Bw63j8vdMh4zvg62dgL9z/A9CXrkL72uceAT0iffgexn0kk1c/"
    "tR7ofE0S4B9icNptEZ5e9V9Hemb/mZY9cCb68F60h/SFRqmol+3tx9D/bPq9yORp72UNH7j5KPfuC+84jvXO4CK+Mx3vR/VSTcx7"
    "UD2H74B4cPF+pHeYeD9Kf1dx93Yy85/sI3mOPVcwb3XJcCY40XVskSf113+ycA/2WWPTHclS3/h0s/7W8Br//XT/WBBeOHkLwKke"
    "xzL8m02YD6J3M3r35dsgl+gVhTejNf/BnCOflgRbX7Xa7pVOD9o7LySkny8PysLz39nYsiOsLgmKPwtgV2X9nldixGEw/Ho+BP6h"
    "8ukIe2PLrbB7YpB+gyex/X/nsObI+YgnSP9pSRykwCTq4DiOkKP0srQO0WFRz0DyE4TdOkg9sXvRHBFZkDyc3szeisrSFZ6K1/pT"
    "ISfLkhhiwMmUkTc85UOVEkWNIGNe95StHJIcWTb/86vcs9RbPlDMiNURJ3Ix+UyLcvOK11MZT5eWZ4vN0GXpq9MZnbfRT8BJlzV7"
    "N81AuKoyOJzlAeq1dH4fyCxFoKVpSPD/AMHdQVg="
)


def write_dgl_without_it(path: Path) -> Path:
    (path / "graph.bin").write_bytes(zlib.decompress(base64.b64decode(DGL_FILE)))
    return path / "graph.bin"


NEEDS_DGL = pytest.mark.skipif(not dgl_available(), reason="dgl is not installed")
NEEDS_PYG = pytest.mark.skipif(
    importlib.util.find_spec("torch_geometric") is None, reason="torch_geometric is not installed"
)
Writer = Callable[[Path], Path]
WRITERS: dict[str, tuple[Writer, list[Any]]] = {
    "csv": (write_csv, []),
    "gml": (write_gml, []),
    "graphml": (write_graphml, []),
    "heterophilous": (write_heterophilous, []),
    "gnn_benchmark": (write_gnn_benchmark, []),
    "scipy": (write_scipy, []),
    "ogb": (write_ogb, []),
    "pyg": (write_pyg, [NEEDS_PYG]),
    "pyg_processed": (write_pyg_processed, [NEEDS_PYG]),
    "pyg_dictionary": (write_pyg_dictionary, []),
    "pyg_without_it": (write_pyg_without_it, []),
    "dgl": (write_dgl, [NEEDS_DGL]),
    "dgl_without_it": (write_dgl_without_it, []),
    "dgl_csv": (write_dgl_csv, []),
    "content": (write_content, []),
}
SET_WRITERS: dict[str, tuple[Writer, list[Any]]] = {
    "pyg_list": (write_pyg_list, []),
    "pyg_dataset": (write_pyg_dataset, [NEEDS_PYG]),
    "pyg_dataset_without_it": (write_pyg_dataset_without_it, []),
    "dgl": (write_dgl_set, [NEEDS_DGL]),
    "dgl_csv": (write_dgl_csv_set, []),
    "ogb": (write_ogb_set, []),
    "tu": (write_tu, []),
    "ten_fold": (write_dgcnn, []),
}
