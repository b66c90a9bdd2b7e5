"""The graph experiment: classify nodes or graphs, label them, or predict numbers, by a graph network.

`graph_targets.py` says what each kind of target means.

Shapes: M nodes or graphs with a target, K outputs: one for each class, label or number.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.schema.targets import name_of_target
from lightning_dl2.graphs import GraphBatch
from lightning_dl2.nets import GraphNetwork
from lightning_dl2.nets.checks import check_choice
from lightning_dl2.nets.graph.convolutions import EDGE_WEIGHT
from lightning_dl2.nets.graph.pair_network import PAIR_LEVELS, PairNetwork
from lightning_dl2.nets.graph.relations.choose import IGNORE, Relations
from lightning_dl2.nets.graph.subgraphs import SubgraphNetwork
from lightning_dl2.tasks.graph_targets import BALANCED, KINDS, LOSSES
from lightning_dl2.tasks.metrics import Mean
from lightning_dl2.tasks.task import Task, check_spec

BY_TARGET = "_by_target"  # ends the name of a metric that has a value for each target
SIZES = ("in_feats", "node_types", "edge_feats", "edge_types", "positional", "positional_size", "level")


class GraphNet(Task):
    """Minimise the cross entropy of classes or labels, or the error of numbers.

    Args:
        spec: `datamodule.spec`: level ("node", "graph" or "link"), target (one of KINDS), num_outputs, what the kind
            of target needs (class_shares, label_shares, target_mean and target_scale, or directed), and the sizes of
            the inputs of nodes and edges.
        optimizer: see `optimizers.complete`; None: DEFAULTS.
        class_weights: "none", or "balanced": in training each class counts the same, and so do both values of a label.
            The weights have mean 1 over the training set; a batch's loss is divided by its M, so that batches and ranks
            may divide the set in any way.
        loss: of numbers: "l1", "mse" or "huber".
        standardize_targets: train on numbers less training's mean, in units of its deviation; None: as the spec says.
        relations: how the relations of a graph are read: "sum" or "mean", by a layer of each; "ignore"; None: as the
            layer does, and a layer that reads none is refused where a graph has relations.
        decomposition, num_bases: of the weights of relations of `rgcn`.
        decoder, embedding_size, decoder_dropout: of `PairNetwork`, where the targets are those of pairs of nodes.
        subgraphs, subgraph_hops: marks and hops of a `SubgraphNetwork`; "none": the net reads the whole graph.
        extra_metrics: names of metrics to log beside those that always are, such as "auc".
        metrics_by_target: log those of each of several numbers or labels, too, as `mean_absolute_error_of_NAME`.
        net: arguments of GraphNetwork: layer, hidden_size, num_layers, ...

    Raises:
        ValueError: the net cannot be built from these arguments.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        optimizer: dict[str, Any] | None = None,
        *,
        class_weights: str = "none",
        loss: str = "l1",
        standardize_targets: bool | None = None,
        relations: str | None = None,
        decomposition: str = "none",
        num_bases: int | None = None,
        decoder: str = "dot",
        embedding_size: int = 64,
        decoder_dropout: float = 0.0,
        subgraphs: str = "none",
        subgraph_hops: int = 3,
        extra_metrics: Sequence[str] = (),
        metrics_by_target: bool = False,
        **net: Any,
    ) -> None:
        super().__init__()
        check_choice("class_weights", class_weights, BALANCED)
        check_choice("loss", loss, LOSSES)
        check_spec(spec, "target", "num_outputs", *SIZES)
        check_choice("spec['target']", spec["target"], KINDS)
        extra_metrics = list(extra_metrics)
        self.save_hyperparameters()
        self.spec = spec
        sizes = {name: spec[name] for name in SIZES}
        ends = spec.get("relation_ends") if spec["node_types"] else None  # nodes of one type need none
        sizes["relational"] = Relations(relations, ends, decomposition, num_bases)
        network: Any = GraphNetwork
        if spec["level"] in PAIR_LEVELS:
            check_spec(spec, "directed")
            network = partial(PairNetwork, decoder=decoder, embedding_size=embedding_size, directed=spec["directed"])
            net = net | {"decoder_dropout": decoder_dropout}
        elif subgraphs != "none":
            network = partial(SubgraphNetwork, marks=subgraphs, hops=subgraph_hops)
        self.net = network(num_outputs=spec["num_outputs"], **sizes, **net)
        kind = KINDS[spec["target"]]
        self.targets = kind(spec, class_weights=class_weights, loss=loss, standardize=standardize_targets)
        self.measures = self.targets.metric_names(extra_metrics)
        self.by_target = self.targets.metrics_by_target(self.measures).keys() if metrics_by_target else ()
        self.add_metrics()

    def check_data(self, data: Any) -> None:
        """Raise UserError where the layer cannot read the data, and tell in `data.note` what it leaves unread.

        A layer of the user's own may be unable to read sampled blocks, or to be evaluated in chunks. Weights of edges,
        and relations, are refused by layers that do not read them.

        Args:
            data: a data module of graphs.
        """
        if self.spec.get("relation_ends"):
            self._check_relations()
        edata = getattr(getattr(data, "graph", None), "edata", {})
        if EDGE_WEIGHT in edata:
            self._check_weights()
        elif "features" in edata and self.net.edge_inputs is None:
            more = f"features of edges are not read by task.layer={self.net.layer} with these settings of task"
            ways = "data.edge_weight=NAME makes one their weight, task.layer=gine and gatedgcn read them"
            data.note = "; ".join(filter(None, [getattr(data, "note", None), f"{more}: {ways}"]))
        chunk, sampler = getattr(data, "chunk", None), getattr(data, "sampler", None)
        for key, asked, exact in (("evaluation_chunk", chunk, True), ("fanouts", sampler, False)):
            if asked and (problem := self.net.block_problem(exact=exact)):
                raise UserError(f"data.{key}: allowed with task.layer={self.net.layer}: null; the layer {problem}")

    def _check_relations(self) -> None:
        net, count = self.net, self.spec["edge_types"]
        if net.reads_relations or net.edge_inputs is not None or net.layer == "mlp" or net.relations.combine == IGNORE:
            return
        raise UserError(
            f"task.layer={net.layer}: would read the {count} relations of the graph as one; fix: task.layer=rgcn, or"
            f" task.relations=sum (a {net.layer} of each relation), or task.relations=ignore"
        )

    def _check_weights(self) -> None:
        if self.net.weights is None:
            raise UserError(
                f"task.layer={self.net.layer}: reads no weights of edges; fix: use gcn, sage, gat, gatv2, gin or rgcn"
            )

    def build_metrics(self) -> dict[str, Metric]:
        of_each = self.targets.metrics_by_target(list(self.by_target))
        of_each_target = {f"{name}{BY_TARGET}": metric for name, metric in of_each.items()}
        return {"loss": Mean(), **self.targets.build_metrics(self.measures), **of_each_target}

    def forward(self, batch: GraphBatch) -> Tensor:
        """Return logits [M, K], or numbers [M] or [M, K], standardised where the targets are."""
        graphs = _widened(batch.graphs) if self.dtype == torch.float64 else batch.graphs
        outputs = self.net(graphs) if batch.chunk is None else self.net.layerwise(graphs, batch.chunk)
        if isinstance(self.net, PairNetwork):
            assert batch.index is not None
            outputs = self.net.decode(outputs, batch.index)
        elif batch.index is not None:
            outputs = outputs[batch.index]
        return self.targets.shaped(outputs)

    def training_step(self, batch: GraphBatch, batch_idx: int) -> dict[str, Tensor]:
        found = self.targets.training_losses(self(batch), batch.targets, batch.all_known)
        return found | {"loss": found["loss"] * batch.weight}

    def evaluate_batch(self, batch: GraphBatch, split: str) -> None:
        outputs, targets = self(batch), batch.targets
        self.metric(split, "loss").update(self.targets.loss(outputs, targets), weight=self.targets.count(targets))
        answers = self.targets.comparable(outputs, targets)
        for name in self.measures:
            self.metric(split, name).update(*answers)
        for name in self.by_target:
            self.metric(split, f"{name}{BY_TARGET}").update(*answers)
        self.log_metrics(split, "loss", *self.measures, batch_size=len(batch))

    def derived_metrics(self, split: str) -> dict[str, Tensor]:
        """Return the metrics of each target that is known in the split."""
        found: dict[str, Tensor] = {}
        for name in self.by_target:
            metric = self.metric(split, f"{name}{BY_TARGET}")
            values = metric.compute()
            metric.reset()  # Lightning resets those that it logs
            known = zip(self.spec["target_names"], values.unbind(), strict=True)
            found |= {name_of_target(name, target): value for target, value in known if not value.isnan()}
        return found

    def predict_step(self, batch: GraphBatch, batch_idx: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the ids [M], the targets, and probabilities [M, K] or numbers [M] or [M, K] in their own unit."""
        return batch.ids, batch.targets, self.targets.predicted(self(batch))


def _widened(graphs: Any) -> Any:
    """Convert features to float64, for precision=64: Lightning converts a batch's own tensors only."""
    if isinstance(graphs, list):
        return [_widened(block) for block in graphs]
    ndata, edata = (
        {name: x.to(dtype=torch.float64) if x.dtype.is_floating_point else x for name, x in data.items()}
        for data in (graphs.ndata, graphs.edata)
    )
    return graphs.replace(ndata=ndata, edata=edata)
