"""Define the schemas of the graphs that are built in."""

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from lightning_dl2.builtin.base import BuiltInData
from lightning_dl2.builtin.graph_formats import OWN_GRAPH_SETS, OWN_GRAPHS
from lightning_dl2.config.schema.base import Natural, Positive, Rate, Strict, Workers
from lightning_dl2.config.schema.targets import Asked, TargetKind

PLANETOID = ("cora", "citeseer", "pubmed")
HETEROPHILOUS = (  # of Platonov et al. (2023), with ten splits each
    "minesweeper", "tolokers", "questions", "roman_empire", "amazon_ratings", "chameleon_filtered",
    "squirrel_filtered",
)  # fmt: skip
TYPED = ("tastes",)  # generated graphs of several types of nodes and edges
NODE_SETS = ("karate_club", "sbm", *TYPED, *PLANETOID, *HETEROPHILOUS, *OWN_GRAPHS)  # one graph; its nodes have labels
TU_SETS = ("mutag", "proteins", "enzymes", "nci1")  # of the TU collection
WITH_ATTRIBUTES = ("enzymes", "proteins")  # of them those whose nodes have numbers, too
TU_ORDER = ("enzymes", "proteins", "nci1")  # whose downloads have the graphs in the order of the collection's files
PLANAR_SAT = ("exp", "cexp")  # of Abboud et al. (2021), with ten splits each
GRAPH_SETS = ("minigc", "csl", "pattern", *TU_SETS, *PLANAR_SAT, "tu", "ten_fold", "zinc", *OWN_GRAPH_SETS)
SET_TARGETS = {"zinc": ("regression",), "tu": ("classification", "regression")}  # of others: classes only
GENERATED = ("karate_club", "sbm", *TYPED, "minigc", "csl", "pattern")  # no files


def superfluous_path(name: str, path: str | None) -> str | None:
    """Describe the error of a path to graphs that are generated; return None if there is none."""
    if path is None or name not in GENERATED:
        return None
    other = "graph_file" if name in NODE_SETS else "graph_set_file"
    return f"path={path}: data={name} is generated; fix: leave it out, or read graphs of your own by data={other}"


def size_problem(sizes: list[float]) -> str | None:
    """Say what is wrong with the sizes of a random split; None: nothing."""
    shares = [size < 1 for size in sizes]
    whole = all(float(size).is_integer() for size in sizes)
    if len(sizes) == 3 and (all(shares) and sum(sizes) <= 1 + 1e-9 or not any(shares) and whole):
        return None
    return "allowed: three shares of train, val and test whose sum is at most 1, or three whole numbers of nodes"


class PositionalEncoding(Strict):
    kind: Literal["none", "laplacian", "random_walk"]
    size: Annotated[int, Field(ge=0, le=4096)]

    @model_validator(mode="after")
    def size_fits_the_kind(self) -> "PositionalEncoding":
        if (self.kind == "none") != (self.size == 0):
            allowed = "0" if self.kind == "none" else "1 or more"
            raise ValueError(f"size={self.size}: allowed with kind={self.kind}: {allowed}")
        return self


class BlockModel(Strict):
    """Schema of the stochastic block model of name=sbm."""

    num_nodes: Positive
    num_classes: Annotated[int, Field(ge=2)]
    average_degree: Rate
    homophily: Annotated[float, Field(ge=0, le=1)]
    num_feats: Positive
    signal: Annotated[float, Field(ge=0)]


class Features(Strict):
    """Schema of the columns of a graph of the user's own that are features."""

    columns: list[str] | None = None
    drop: list[str] = []
    one_hot: list[str] = []
    fill: Literal["none", "zero", "mean", "median"] = "none"
    standardize: bool = False
    degrees: bool = False
    edge_columns: list[str] | None = None
    identity: bool = False


class Types(Strict):
    """Schema of the types of nodes and edges of a graph of the user's own."""

    node: str | None = None
    edge: str | None = None
    target: str | None = None


class Edges(Strict):
    """Schema of the edges that are items."""

    validation_share: Annotated[float, Field(gt=0, lt=1)]
    test_share: Annotated[float, Field(gt=0, lt=1)]
    negatives: Positive
    evaluation_negatives: Positive
    hide_supervised: bool

    @model_validator(mode="after")
    def some_edges_are_left(self) -> "Edges":
        if self.validation_share + self.test_share >= 1:
            raise ValueError(
                f"test_share={self.test_share}: with validation_share={self.validation_share} no edge is left to train"
                " on; allowed: a sum below 1"
            )
        return self


class GraphData(BuiltInData):
    """Base of the schemas of one graph and of many."""

    linear_baseline: bool

    @property
    def target_kind(self) -> TargetKind:
        """Return the kind of what is to be predicted."""
        return "classification"

    @property
    def is_generated(self) -> bool:
        return self.name in GENERATED


class NodeData(GraphData):
    module: ClassVar[str] = "lightning_dl2.data.graphs.node_data_module.NodeDataModule"
    modules_of_edges: ClassVar[dict[str, str]] = {
        "edge": "lightning_dl2.data.graphs.links.EdgeDataModule",
        "link": "lightning_dl2.data.graphs.links.LinkDataModule",
    }
    fitting_task: ClassVar[str | None] = "graph_net"

    name: Literal[NODE_SETS]  # type: ignore[valid-type]
    path: str | None
    undirected: bool
    label: str | None
    labels: list[str] | None = None  # younger than runs on graphs, as the next ones are
    target: Asked | None = None
    repeated_edges: Literal["merge", "keep"] = "merge"
    edge_weight: str | None = None
    types: Types = Types()
    features: Features = Features()
    split: Literal["public", "random"]
    split_index: Natural = 0
    split_seed: Natural | None = None
    split_sizes: list[Annotated[float, Field(gt=0)]] | None = None
    train_per_class: Positive
    validation_size: Positive
    test_size: Positive | None
    normalize_features: bool
    positional: PositionalEncoding
    fanouts: list[Positive] | None
    replace: bool
    draw_by_weight: bool
    batch_size: Positive
    evaluation_chunk: Positive | None
    block_model: BlockModel
    level: Literal["node", "edge", "link"]
    edges: Edges
    num_workers: Workers
    cache_dir: str | None

    @property
    def target_kind(self) -> TargetKind:
        return "link" if self.level == "link" else self.target or super().target_kind

    @property
    def class_path(self) -> str:
        return self.modules_of_edges.get(self.level, self.module)

    @property
    def arguments(self) -> dict[str, Any]:
        return self.model_dump(exclude={"level"} if self.level in self.modules_of_edges else {"level", "edges"})

    @model_validator(mode="after")
    def path_fanouts_and_workers_are_possible(self) -> "NodeData":
        if says := superfluous_path(self.name, self.path):
            raise ValueError(says)
        if self.level == "edge" and self.name not in OWN_GRAPHS:
            raise ValueError(f"level=edge: the edges of data={self.name} have no labels; allowed: node, link")
        if self.level != "node" and self.name in TYPED:
            raise ValueError(f"level={self.level}: data={self.name} has several types of edges; allowed: node")
        if self.level == "link" and self.features.degrees:
            raise ValueError("features.degrees=true: counts edges that are held out; allowed with level=link: false")
        for key in ("target", "labels"):
            if self.level == "link" and (value := getattr(self, key)) is not None:
                raise ValueError(f"{key}={value}: nodes need no labels; allowed with level=link: null")
        if self.target not in (None, "classification") and self.name not in OWN_GRAPHS:
            raise ValueError(f"target={self.target}: data={self.name} has classes; allowed: null, or data=graph_file")
        if self.labels is not None and (self.label is not None or not self.labels):
            raise ValueError(f"labels={self.labels}: allowed: names of columns with data.label=null, or null")
        if self.labels is not None and len({*self.labels}) < len(self.labels):
            raise ValueError(f"labels={self.labels}: allowed: each name once")
        if self.split_sizes is not None and (problem := size_problem(self.split_sizes)):
            raise ValueError(f"split_sizes={self.split_sizes}: {problem}")
        if self.fanouts == []:
            raise ValueError("fanouts=[]: allowed: one number a layer, or null for the whole graph at each step")
        if self.num_workers and self.fanouts is None:
            raise ValueError(
                f"num_workers={self.num_workers}: with data.fanouts=null each batch is the whole graph in memory;"
                " allowed: 0, or data.fanouts of the layers"
            )
        return self


class GraphSetData(GraphData):
    module: ClassVar[str] = "lightning_dl2.data.graphs.graph_set_data_module.GraphSetDataModule"
    fitting_task: ClassVar[str | None] = "graph_net"

    name: Literal[GRAPH_SETS]  # type: ignore[valid-type]
    path: str | None
    label: str | None
    undirected: bool
    repeated_edges: Literal["merge", "keep"] = "merge"  # younger than runs on sets, as the next one is
    target: Asked | None = None
    num_folds: Annotated[int, Field(ge=3)]
    fold: Natural
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    splits_file: str | None = None  # younger than runs on sets, as the next ones are
    node_attributes: bool | None = None
    standardize: bool = False
    positional: PositionalEncoding
    batch_size: Positive
    evaluation_batch_size: Positive
    num_graphs: Positive
    min_nodes: Positive
    max_nodes: Positive
    num_workers: Workers
    cache_dir: str | None

    @model_validator(mode="after")
    def path_folds_and_sizes_are_possible(self) -> "GraphSetData":
        if says := superfluous_path(self.name, self.path):
            raise ValueError(says)
        kinds = get_args(Asked) if self.name in OWN_GRAPH_SETS else SET_TARGETS.get(self.name, ("classification",))
        if self.target not in (None, *kinds):
            raise ValueError(f"target={self.target}: allowed with data={self.name}: null, {', '.join(kinds)}")
        if self.node_attributes and self.path is None and self.name not in WITH_ATTRIBUTES:
            names = " or ".join(WITH_ATTRIBUTES)
            raise ValueError(f"node_attributes=true: data={self.name} has none; allowed: null, or data={names}")
        if self.fold >= self.num_folds:
            raise ValueError(f"fold={self.fold}: allowed: 0 to {self.num_folds - 1}")
        if self.min_nodes > self.max_nodes:
            raise ValueError(f"min_nodes={self.min_nodes}: allowed: at most max_nodes={self.max_nodes}")
        return self

    @property
    def level(self) -> str:
        return "node" if self.name == "pattern" else "graph"

    @property
    def target_kind(self) -> TargetKind:
        return self.target or ("regression" if self.name == "zinc" else "classification")
