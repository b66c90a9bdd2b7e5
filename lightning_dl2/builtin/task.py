"""Define the schemas of the tasks that are built in."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from lightning_dl2.builtin.base import BuiltIn
from lightning_dl2.builtin.cells import BILSTM, CELLS, CellFacts
from lightning_dl2.builtin.graph_data import PLANETOID, GraphData, GraphSetData, NodeData
from lightning_dl2.common.dotted import find_callable, is_dotted
from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.config.schema.base import Fraction, Layers, Part, Positive
from lightning_dl2.config.schema.component import TARGET, DataSchema, Demand, Mode, TaskSchema
from lightning_dl2.config.schema.targets import METRICS, logged_metrics

if TYPE_CHECKING:
    from lightning_dl2.config.schema.effect_rules import Rule
    from lightning_dl2.config.schema.run import Config


class BuiltInTask(BuiltIn, TaskSchema):
    """Base of the schemas of the built-in tasks."""

    @property
    def arguments(self) -> dict[str, Any]:
        return self.model_dump(exclude={"name"})

    def effect_rules(self) -> "tuple[Rule, ...]":
        from lightning_dl2.builtin.effect_rules import GRAPHS, RECURRENT

        return (*RECURRENT, *GRAPHS)

    def metrics(self, data: DataSchema) -> dict[str, Mode] | None:
        return {"val/loss": "min", "val/accuracy": "max"}

    def demands(self, config: "Config", spec: dict[str, Any], on_gpu: bool) -> Iterator[Demand]:
        from lightning_dl2.builtin.memory import net_demands

        return net_demands(config, spec, on_gpu)


class RecurrentTask(BuiltInTask):
    """Schema of the keys that all recurrent nets share."""

    name: str
    cell: str | dict[str, Any]
    hidden_size: Positive
    num_layers: Layers
    dropout: Fraction
    bias: bool
    reset_after: bool
    peephole: Literal["gers", "assignment"]
    initialization: Literal["torch", "kaiming", "xavier", "orthogonal"]
    forget_bias: float | Literal["chrono"] | None

    @property
    def own_cell(self) -> Any | None:
        """Return the user's class that `cell` names by its dotted path; None: the cell is built in."""
        path = self.cell if isinstance(self.cell, str) else self.cell[TARGET]
        return find_callable(path) if is_dotted(path) else None

    @property
    def facts(self) -> CellFacts | None:
        """Return what is known of a cell that is built in; None: it is the user's."""
        return None if self.own_cell is not None else CELLS["lstm" if self.cell == BILSTM else str(self.cell)]

    @property
    def takes_forget_bias(self) -> bool:
        """Tell whether the cell has a forget gate, and a bias of it that the package knows; a module has not."""
        if (facts := self.facts) is not None:
            return facts.forget_gate
        own = self.own_cell
        return hasattr(own, "shapes") and getattr(own, "forget_gate", None) is not None

    def check_machine(self, on_gpu: bool) -> None:
        """Build a layer of a user's cell, which takes a step of it."""
        if self.own_cell is None:
            return
        import torch

        from lightning_dl2.nets import Recurrent

        options = self.model_dump(include={"cell", "hidden_size", "bias", "initialization", "weight_dropout"})
        forget_bias = self.forget_bias if self.takes_forget_bias else None
        try:
            with torch.random.fork_rng(devices=[]):
                Recurrent(input_size=1, sequence_length=1, forget_bias=forget_bias, **options)
        except (ValueError, RuntimeError, MemoryError) as error:  # the latter two: too little memory
            raise UserError(f"task.{error}") from error

    @model_validator(mode="after")
    def forget_bias_needs_a_bias(self) -> "RecurrentTask":
        if self.forget_bias is not None and not self.bias:
            raise ValueError(f"forget_bias={self.forget_bias}: needs task.bias=true; allowed without: null")
        return self


WRITES_NO_SAMPLES = "only a text_generator writes samples; allowed: false"


class SequenceReader(RecurrentTask):
    """Schema of the keys that the tasks of whole sequences share."""

    commands: ClassVar[tuple[str, ...]] = ("predict",)

    cell: Annotated[str | dict[str, Any], Part(*CELLS, BILSTM)]
    bidirectional: bool
    encoding: Literal["one_hot", "embedding", "scalar", "none", "linear"]
    embedding_size: Positive
    output_bias: bool
    label_smoothing: Fraction

    def refuses(self, callback: str) -> str | None:
        return WRITES_NO_SAMPLES if callback == "samples" else None

    def check(self, config: "Config") -> None:
        if getattr(config.data, "has_vectors", False) and self.encoding not in ("none", "linear"):
            raise ValueError(
                f"task.encoding={self.encoding}: data={config.data.title} are real vectors; allowed: none, linear"
            )


class SequenceClassifier(SequenceReader):
    module: ClassVar[str] = "lightning_dl2.tasks.sequence_classifier.SequenceClassifier"

    name: Literal["sequence_classifier"]


class SequenceRegressor(SequenceReader):
    module: ClassVar[str] = "lightning_dl2.tasks.sequence_regressor.SequenceRegressor"

    name: Literal["sequence_regressor"]

    def metrics(self, data: DataSchema) -> dict[str, Mode] | None:
        return {"val/loss": "min", "val/mean_squared_error": "min", "val/mean_absolute_error": "min"}


class SequenceTransducer(SequenceReader):
    module: ClassVar[str] = "lightning_dl2.tasks.sequence_transducer.SequenceTransducer"

    name: Literal["sequence_transducer"]

    def metrics(self, data: DataSchema) -> dict[str, Mode] | None:
        return {"val/loss": "min", "val/accuracy": "max", "val/sequence_accuracy": "max"}


class TextGenerator(RecurrentTask):
    module: ClassVar[str] = "lightning_dl2.tasks.text_generator.TextGenerator"
    commands: ClassVar[tuple[str, ...]] = ("generate",)

    name: Literal["text_generator"]
    cell: Annotated[str | dict[str, Any], Part(*CELLS)]
    embedding_size: Positive | None
    projection_size: Positive | None
    tie_weights: bool
    layer_norm: bool
    skip_connections: bool
    input_dropout: Fraction
    output_dropout: Fraction
    locked_dropout: bool
    weight_dropout: Fraction
    reset_probability: Fraction
    focal_gamma: Annotated[float, Field(ge=0, le=10)]
    ensemble_size: Annotated[int, Field(ge=1, le=1000)]

    def check_machine(self, on_gpu: bool) -> None:
        super().check_machine(on_gpu)
        if self.own_cell is None:
            return
        from lightning_dl2.nets.recurrent.language_model import check_reads_text
        from lightning_dl2.nets.recurrent.lookup import find_cell

        try:
            check_reads_text(find_cell(self.cell))
        except ValueError as error:
            raise UserError(f"task.{error}") from error

    @model_validator(mode="after")
    def cell_reads_text(self) -> "TextGenerator":
        if self.facts is not None and not self.facts.reads_text:
            names = ", ".join(name for name, facts in CELLS.items() if facts.reads_text)
            raise ValueError(f"cell={self.cell}: takes an input_length, which a text does not have; allowed: {names}")
        return self

    @model_validator(mode="after")
    def dropped_weights_exist(self) -> "TextGenerator":
        if self.weight_dropout and self.facts is not None and not self.facts.drops_weights:
            raise ValueError(f"weight_dropout={self.weight_dropout}: allowed with task.cell={self.cell}: 0")
        return self

    @model_validator(mode="after")
    def tied_sizes_are_equal(self) -> "TextGenerator":
        features = self.projection_size or self.hidden_size * (self.num_layers if self.skip_connections else 1)
        if self.own_cell is None and self.tie_weights and (self.embedding_size or self.hidden_size) != features:
            raise ValueError(
                f"embedding_size={self.embedding_size or 'null'}: with tie_weights=true allowed: {features}, the size"
                " of what the output layer reads"
            )
        return self

    def metrics(self, data: DataSchema) -> dict[str, Mode] | None:
        unit = "bits_per_byte" if getattr(data, "tokens", None) == "bytes" else "bpc"
        found: dict[str, Mode] = {"val/loss": "min", "val/accuracy": "max", "val/loss_cold": "min"}
        return found | {f"val/{unit}": "min", "val/perplexity": "min"}

    def check(self, config: "Config") -> None:
        if "val/loss_cold" in config.monitors and config.trainer.limit_val_batches == 1:
            raise ValueError(
                "trainer.limit_val_batches=1: the first batch gives no val/loss_cold; allowed: 2 or more, null, or"
                " another monitor"
            )


ALONE = ("rgcn", "gatedgcn", "gcnii", "mlp")  # the layers that serve no relation by itself


class GraphNet(BuiltInTask):
    module: ClassVar[str] = "lightning_dl2.tasks.graph_net.GraphNet"
    commands: ClassVar[tuple[str, ...]] = ("predict",)

    name: Literal["graph_net"]
    layer: Annotated[str, Part("gcn", "sage", "gat", "gatv2", "gin", "gine", "gatedgcn", "gcnii", "rgcn", "mlp")]
    hidden_size: Positive
    num_layers: Layers
    heads: Positive
    output_heads: Positive
    activation: Annotated[str, Part("relu", "elu")]
    input_dropout: Fraction
    dropout: Fraction
    attention_dropout: Fraction
    residual: bool | Literal["linear"]
    norm: Annotated[str, Part("none", "batch", "layer")]
    feed_forward: bool
    virtual_node: bool
    jumping_knowledge: Literal["none", "cat", "max", "sum"]
    input_layer: bool
    output_layer: Literal["none", "linear", "mlp"]
    readout: Annotated[str, Part("mean", "sum", "max", "attention")]
    self_loops: bool | None
    edge_features: bool
    subgraphs: Literal["none", "node", "edge"] = "none"  # younger than runs on graphs, as the next one is
    subgraph_hops: Positive = 3
    alpha: Annotated[float, Field(ge=0, le=1)]
    lambda_: Annotated[float, Field(gt=0)]
    relations: Literal["sum", "mean", "ignore"] | None = None  # younger than runs on graphs, as the next two are
    decomposition: Literal["none", "basis", "block"] = "none"
    num_bases: Positive | None = None
    decoder: Annotated[str, Part("dot", "mlp")]
    embedding_size: Positive
    decoder_dropout: Fraction
    class_weights: Literal["none", "balanced"]
    loss: Literal["l1", "mse", "huber"]
    standardize_targets: bool | None
    extra_metrics: list[str]
    metrics_by_target: bool = False  # younger than runs on graphs
    engine: Literal["auto", "dgl", "torch"]

    def refuses(self, callback: str) -> str | None:
        if callback == "gradient_flow":
            return "a graph_net reads no sequence; allowed: false"
        return WRITES_NO_SAMPLES if callback == "samples" else None

    def metrics(self, data: DataSchema) -> dict[str, Mode] | None:
        # Nobody knows the kind of own data before they are built: a monitor may then be a metric of any kind.
        kinds = [data.target_kind] if isinstance(data, GraphData) else [*METRICS]
        targets = (getattr(data, "labels", None) if self.metrics_by_target else None) or ()
        logged = [logged_metrics(kind, self.extra_metrics, targets) for kind in kinds]
        found: dict[str, Mode] = {"val/loss": "min"}
        return found | {f"val/{name}": mode for each in logged for name, mode in each.items()}

    def how_to_log(self, metric: str, data: DataSchema) -> str | None:
        name = metric.removeprefix("val/")
        if not isinstance(data, GraphData) or name not in METRICS[data.target_kind]:
            return None
        return f"task.extra_metrics=[{','.join([*self.extra_metrics, name])}]"

    def check(self, config: "Config") -> None:
        data = config.data
        kinds = [data.target_kind] if isinstance(data, GraphData) else [*METRICS]
        known = list(dict.fromkeys(name for kind in kinds for name in METRICS[kind]))
        for name in self.extra_metrics:
            if name not in known:
                raise ValueError(
                    f"task.extra_metrics={name}: data={data.title} has {kinds[0]} targets; {nearest(name, known)}"
                )
        level = data.level if isinstance(data, GraphSetData) else "node"
        if level == "graph" and self.output_layer == "none":
            raise ValueError(
                f"task.output_layer=none: data={data.title} has one target for each graph; allowed: linear, mlp"
            )
        if isinstance(data, NodeData) and data.level == "edge" and self.decoder == "dot":
            if data.target_kind != "regression":
                raise ValueError("task.decoder=dot: gives one number; allowed with classes or labels of edges: mlp")
        if self.relations in ("sum", "mean") and self.layer in ALONE:
            raise ValueError(f"task.relations={self.relations}: allowed with task.layer={self.layer}: null, ignore")
        if (self.decomposition == "none") != (self.num_bases is None):
            allowed, given = "null" if self.decomposition == "none" else "1 or more", self.num_bases or "null"
            raise ValueError(f"task.num_bases={given}: allowed with task.decomposition={self.decomposition}: {allowed}")
        whole = isinstance(data, NodeData)
        if self.subgraphs != "none" and (whole or not self.input_layer or self.output_layer == "none"):
            allowed = "none" if whole else "none, or task.input_layer=true with an output layer"
            raise ValueError(f"task.subgraphs={self.subgraphs}: allowed with data={data.title}: {allowed}")
        sparse = isinstance(data, NodeData) and data.name in PLANETOID and data.positional.size
        if sparse and not self.input_layer:
            raise ValueError(
                f"task.input_layer=false: data={data.title} has sparse features; allowed with data.positional: true"
            )
        for key in ("fanouts", "evaluation_chunk"):
            if self.virtual_node and (value := getattr(data, key, None)):
                raise ValueError(f"data.{key}={value}: allowed with task.virtual_node=true: null, the whole graph")
        fanouts = data.fanouts if isinstance(data, NodeData) else None
        if fanouts and len(fanouts) != self.num_layers:
            allowed = f"a list of {self.num_layers}, or null"
            raise ValueError(f"data.fanouts={fanouts}: allowed with task.num_layers={self.num_layers}: {allowed}")

    def check_machine(self, on_gpu: bool) -> None:
        from lightning_dl2.graphs.choose_engine import dgl_obstacle, resolve_engine
        from lightning_dl2.nets.graph.own.libraries import library_of

        device = "cuda" if on_gpu else "cpu"
        try:
            resolve_engine(self.engine, device)
        except ValueError as error:
            raise UserError(f"task.{error}") from error
        for key in ("layer", "readout"):
            path = getattr(self, key)
            reads_dgl = is_dotted(path) and library_of(find_callable(path)) == "dgl"
            if reads_dgl and (obstacle := dgl_obstacle(device)):
                raise UserError(f"task.{key}={path}: {obstacle}; fix: use trainer.accelerator=cpu, or another {key}")
