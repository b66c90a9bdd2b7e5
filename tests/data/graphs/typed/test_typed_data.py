"""Test graphs of several types in memory and as data: DGL, PyG, other graphs, blocks, and learning."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from lightning_dl2 import GraphNet, LinkDataModule, NodeDataModule
from lightning_dl2.common.errors import UserError
from lightning_dl2.graphs import load_dgl
from tests.data.graphs.typed.test_typed_csv import write
from tests.nets.graph.graph_cases import NEEDS_DGL

RATES, FOLLOWS = ("user", "rates", "film"), ("user", "follows", "user")
ENDS = {RATES: ([0, 1, 2, 2], [0, 0, 1, 1]), FOLLOWS: ([0, 1], [1, 2])}
X, LABELS = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1, 0, 1])
MASKS = {f"{split}_mask": torch.arange(3) == number for number, split in enumerate(("train", "val", "test"))}


def of_dgl():
    g = load_dgl().heterograph(
        {name: (torch.tensor(src), torch.tensor(dst)) for name, (src, dst) in ENDS.items()},
        num_nodes_dict={"user": 3, "film": 2},
    )
    g.nodes["film"].data["feat"], g.edges["rates"].data["w"] = X, torch.tensor([1.0, 2, 3, 3])
    g.nodes["user"].data.update(label=LABELS, **MASKS)
    return g


class Store(SimpleNamespace):
    """A storage of PyG's HeteroData: what stands at one type."""

    def to_dict(self):
        return dict(vars(self))


class HeteroData:
    """As much of PyG's class as is read, so that the test needs no PyG."""

    def __init__(self) -> None:
        edges = {name: torch.tensor(ends) for name, ends in ENDS.items()}
        self.stores = {
            "film": Store(x=X, num_nodes=2),
            "user": Store(y=LABELS, num_nodes=3, **MASKS),
            FOLLOWS: Store(edge_index=edges[FOLLOWS]),
            RATES: Store(edge_index=edges[RATES], w=torch.tensor([1.0, 2, 3, 3])),
        }
        self.node_types, self.edge_types = ["film", "user"], [FOLLOWS, RATES]

    def __getitem__(self, name):
        return self.stores[name]


HeteroData.__module__ = "torch_geometric.data.hetero_data"


def of_pyg():
    pyg = pytest.importorskip("torch_geometric.data", reason="torch_geometric is not installed")
    data = pyg.HeteroData()
    for name, store in HeteroData().stores.items():
        for key, value in store.to_dict().items():
            data[name][key] = value
    return data


@pytest.mark.parametrize(
    "make", [pytest.param(of_dgl, marks=NEEDS_DGL), HeteroData, of_pyg], ids=["dgl", "like pyg", "pyg"]
)
def test_a_graph_of_a_library_is_read_by_type(make):
    data = NodeDataModule.from_graph(make(), edge_weight="w", undirected=True, ids=["ann", "bob", "cleo"])
    found = data.set
    assert found.node_type_names == ["film", "user"] and found.feature_names is None
    assert found.edge_type_names == ["user.follows.user", "user.rates.film", "film.rev_rates.user"]
    assert found.features.tolist() == [[1, 2], [3, 4], [0, 0], [0, 0], [0, 0]]
    assert found.labels.tolist() == [-1, -1, 1, 0, 1] and found.splits["test"].tolist() == [4]
    rated = found.edge_types == 1
    assert (found.src[rated].tolist(), found.dst[rated].tolist()) == ([2, 3, 4], [0, 0, 1])
    assert found.edge_weights.tolist() == [1] * 4 + [1, 2, 3] * 2
    assert data.names(torch.tensor([0, 3])) == ["film:0", "bob"]
    for line in (
        "user.rates.film: 1 repeated edge is merged (repeated_edges='keep' counts each)",
        "nodes of user have no features: the net learns a vector for each type",
        "(undirected=False does not): film.rev_rates.user",
    ):
        assert line in data.note
    facts = {key: data.spec[key] for key in ("in_feats", "node_types", "edge_types", "relation_ends", "target_type")}
    ends = [[1, 1], [1, 0], [0, 1]]
    assert facts == {"in_feats": 2, "node_types": 2, "edge_types": 3, "relation_ends": ends, "target_type": "user"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_type": "films"}, "target_type=films: the graph has no such type; did you mean film"),
        ({"labels": [0, 1]}, "target_type=None: labels are given; allowed: the type that has them, film, user"),
        ({"labels": "class"}, "target_type=None: no type has labels; allowed: film, user"),
        ({"features": "x2"}, "features=x2: no type of the graph has such data"),
        ({"edge_weight": "v"}, "edge_weight=v: no type of the graph has such data"),
        ({"ids": ["a"]}, "ids: are 1; allowed: 3, one for each node of the type user"),
    ],
)
def test_what_is_wrong_with_a_graph_is_one_line(options, message):
    with pytest.raises(UserError, match=message):
        NodeDataModule.from_graph(HeteroData(), **options)


def test_several_types_with_labels_need_a_choice():
    graph = HeteroData()
    graph.stores["film"].y = torch.tensor([0, 1])
    with pytest.raises(UserError, match="target_type=None: nodes of film and user have labels; allowed: film, user"):
        NodeDataModule.from_graph(graph)
    of_users = NodeDataModule.from_graph(graph, target_type="user")
    assert of_users.set.labels.tolist() == [-1, -1, 1, 0, 1] and "film: not read: y" in of_users.note
    graph.stores[RATES].edge_index = torch.tensor([[0, 3], [0, 0]])
    with pytest.raises(UserError, match="user.rates.film has an edge of node 3 of user; allowed: 0 to 2"):
        NodeDataModule.from_graph(graph, target_type="user")


def learn(layer: str, relations: str | None = None, steps: int = 60, **data: object) -> float:
    """Return the accuracy on the test users."""
    torch.manual_seed(0)
    module = NodeDataModule("tastes", **data)
    task = GraphNet(module.spec, layer=layer, relations=relations, hidden_size=16)
    task.check_data(module)
    optimizer = torch.optim.Adam(task.parameters(), lr=0.02)
    for step in range(steps):
        optimizer.zero_grad()
        task.training_step(module.train_batch(step), step)["loss"].backward()
        optimizer.step()
    (batch,) = module.evaluation_batches("test")
    with torch.no_grad():
        return float((task.eval()(batch).argmax(1) == batch.targets).float().mean())


@pytest.mark.slow
def test_only_a_net_that_knows_the_relations_tells_the_tastes():
    assert learn("gcn", "ignore") < 0.65 and learn("rgcn") > 0.95
    assert learn("sage", "mean", fanouts=[5, 5], batch_size=100, evaluation_chunk=200) > 0.95


def test_a_layer_that_reads_no_relations_is_refused():
    module = NodeDataModule("tastes")
    for layer in ("gcn", "sage", "gin"):
        with pytest.raises(UserError, match=f"task.layer={layer}: would read the 4 relations of the graph as one; fix"):
            GraphNet(module.spec, layer=layer).check_data(module)
        GraphNet(module.spec, layer=layer, relations="sum").check_data(module)
    GraphNet(module.spec, layer="gine").check_data(module)  # embeds the types
    GraphNet(module.spec, layer="mlp").check_data(module)
    with pytest.raises(UserError, match="task.layer=gcn: would read the 4"):
        GraphNet(module.spec, layer="gcn", edge_features=False).check_data(module)
    chunked = NodeDataModule("tastes", evaluation_chunk=50)
    with pytest.raises(UserError, match="the layer divides by degrees within each relation, which a part of a graph"):
        GraphNet(chunked.spec, layer="gcn", relations="sum").check_data(chunked)
    with pytest.raises(UserError, match="data.level=link: the graph has 4 relations; allowed: node"):
        LinkDataModule("tastes")


def test_items_are_those_of_the_asked_type():
    module = NodeDataModule("tastes")
    module.splits = {name: index[:10] for name, index in module.splits.items()}
    assert module.count_items("rest") == 570 and int(module.items("rest").min()) >= 120
    assert module.names(module.items("rest"))[0].isdecimal() and module.names(torch.tensor([3])) == ["film:3"]


def other(path, **change: str):
    """Write papers and authors; `change` replaces a file."""
    files = {
        "nodes__paper": "id,label,split,year\n1,good,train,2001\n2,bad,val,2003\n3,good,test,2005\n4,bad,train,1999\n",
        "nodes__author": "id,age\n1,30\n2,50\n",
        "edges__author__writes__paper": "author,paper\n1,1\n1,2\n2,3\n2,4\n",
    }
    return write(path, **files | change)


def test_another_graph_of_the_same_types_is_fitted_to_the_net(tmp_path):
    options = {"features": {"standardize": True}}
    module = NodeDataModule("graph_csv", str(other(tmp_path / "one")), **options)
    later = other(
        tmp_path / "two",
        nodes__paper="id,year\n9,2001\n8,2005\n",
        nodes__author="id,born,age\n5,1950,50\n",
        edges__author__writes__paper="author,paper\n5,9\n",
    )
    fitted = NodeDataModule("graph_csv", str(later), for_run=module.spec, **options)
    assert fitted.set.features.shape[1] == 2 and fitted.set.num_edge_types == 2
    torch.testing.assert_close(fitted.set.features[1], module.set.features[2])
    assert fitted.names(fitted.items("rest")) == ["9", "8"]
    task = GraphNet(module.spec, layer="rgcn", hidden_size=4)
    assert task(fitted.alone(1)).shape == (1, 2)
    with pytest.raises(UserError, match="has no column author.age, which the run was trained with"):
        other(tmp_path / "two", nodes__author="id,born\n1,1\n2,2\n")
        NodeDataModule("graph_csv", str(tmp_path / "two"), for_run=module.spec, **options)
    other(tmp_path / "two", edges__author__reads__paper="author,paper\n1,1\n")
    with pytest.raises(UserError, match="has the edge type author.reads.paper, which the run was not trained with"):
        NodeDataModule("graph_csv", str(tmp_path / "two"), for_run=module.spec, **options)
    plain = write(tmp_path / "plain", nodes="id,age,year\n1,2,3\n2,2,3\n", edges="src,dst\n1,2\n")
    with pytest.raises(UserError, match="has one type of nodes and edges; allowed: several types"):
        NodeDataModule("graph_csv", str(plain), for_run=module.spec | {"columns": {}, "in_feats": 2}, **options)


def test_a_vector_for_each_node_serves_no_other_graph(tmp_path):
    options = {"features": {"identity": True, "drop": ["age"]}}
    module = NodeDataModule("graph_csv", str(other(tmp_path / "one")), **options)
    assert module.spec["in_feats"] == 3
    assert GraphNet(module.spec, layer="rgcn", hidden_size=4)(module.alone(2)).shape == (1, 2)
    same = NodeDataModule("graph_csv", str(tmp_path / "one"), for_run=module.spec, **options)
    assert same.set.digest() == module.set.digest() and same.other is None
    changed = "author,paper\n1,1\n1,2\n2,3\n1,4\n"
    other(tmp_path / "two", edges__author__writes__paper=changed)
    with pytest.raises(UserError, match="has a vector for each node that it was trained on, and none for others"):
        NodeDataModule("graph_csv", str(tmp_path / "two"), for_run=module.spec, **options)


def test_types_are_part_of_the_digest_and_older_digests_stay():
    typed = NodeDataModule("tastes").set
    swapped = replace(typed, edge_types=3 - typed.edge_types)
    assert typed.digest() != swapped.digest()
    assert NodeDataModule("karate_club").set.digest() == "247ff39f3f80fc59"
