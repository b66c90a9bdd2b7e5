"""The graph experiment: classify nodes or graphs, or predict a number, by a graph network.

Shapes: M nodes or graphs with a target, C classes.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MeanAbsoluteError, Metric
from torchmetrics.classification import MulticlassAccuracy

from lightning_dl2.common.errors import UserError
from lightning_dl2.graphs import GraphBatch
from lightning_dl2.nets import GraphNetwork
from lightning_dl2.nets.checks import check_choice
from lightning_dl2.tasks.metrics import MacroAccuracy, Mean
from lightning_dl2.tasks.task import Task, check_spec

SIZES = ("in_feats", "node_types", "edge_feats", "edge_types", "positional", "positional_size", "level")


class GraphNet(Task):
    """Minimise the cross entropy over the classes, or the mean absolute error of a number.

    Args:
        spec: `datamodule.spec`: level ("node" or "graph"), target ("classification" or "regression"), num_outputs,
            class_shares, and the sizes of the inputs of nodes and edges.
        optimizer: see `optimizers.complete`; None: DEFAULTS.
        class_weights: "none", or "balanced": in training each class counts the same. The weights have mean 1 over the
            training set; a batch's loss is divided by its M, so that batches and ranks may divide the set in any way.
        net: arguments of GraphNetwork: layer, hidden_size, num_layers, ...

    Raises:
        ValueError: the net cannot be built from these arguments.
    """

    class_weights: Tensor | None

    def __init__(
        self, spec: dict[str, Any], optimizer: dict[str, Any] | None = None, *, class_weights: str = "none", **net: Any
    ) -> None:
        super().__init__()
        check_choice("class_weights", class_weights, ("none", "balanced"))
        check_spec(spec, "target", "num_outputs", *SIZES)
        self.save_hyperparameters()
        self.spec = spec
        self.classifies = spec["target"] == "classification"
        sizes = {name: spec[name] for name in SIZES}
        self.net = GraphNetwork(num_outputs=spec["num_outputs"], **sizes, **net)
        weights = None
        if class_weights == "balanced" and self.classifies:
            shares = torch.tensor(spec["class_shares"])
            weights = torch.where(shares > 0, 1 / (len(shares) * shares), 0.0)
        self.register_buffer("class_weights", weights, persistent=False)
        self.add_metrics()

    def check_data(self, data: Any) -> None:
        """Raise UserError where a layer of the user's own cannot read sampled blocks, or be evaluated in chunks.

        Args:
            data: a data module of graphs.
        """
        chunk, sampler = getattr(data, "chunk", None), getattr(data, "sampler", None)
        for key, asked, exact in (("evaluation_chunk", chunk, True), ("fanouts", sampler, False)):
            if asked and (problem := self.net.block_problem(exact=exact)):
                raise UserError(f"data.{key}: allowed with task.layer={self.net.layer}: null; the layer {problem}")

    def build_metrics(self) -> dict[str, Metric]:
        if not self.classifies:
            return {"loss": Mean(), "mean_absolute_error": MeanAbsoluteError()}
        classes = self.spec["num_outputs"]
        accuracy = MulticlassAccuracy(classes, average="micro")
        return {"loss": Mean(), "accuracy": accuracy, "macro_accuracy": MacroAccuracy(classes)}

    def forward(self, batch: GraphBatch) -> Tensor:
        """Return logits [M, C], or numbers [M]."""
        graphs = _widened(batch.graphs) if self.dtype == torch.float64 else batch.graphs
        outputs = self.net(graphs) if batch.chunk is None else self.net.layerwise(graphs, batch.chunk)
        if batch.index is not None:
            outputs = outputs[batch.index]
        return outputs if self.classifies else outputs.squeeze(-1)

    def training_step(self, batch: GraphBatch, batch_idx: int) -> dict[str, Tensor]:
        outputs = self(batch)
        if not self.classifies:
            error = F.l1_loss(outputs, batch.targets)
            return {"loss": error * batch.weight, "mean_absolute_error": error.detach()}
        losses = F.cross_entropy(outputs, batch.targets, weight=self.class_weights, reduction="none")
        return {"loss": losses.mean() * batch.weight, "accuracy": (outputs.argmax(-1) == batch.targets).float().mean()}

    def evaluate_batch(self, batch: GraphBatch, split: str) -> None:
        outputs, targets = self(batch), batch.targets
        loss = F.cross_entropy(outputs, targets) if self.classifies else F.l1_loss(outputs, targets)
        self.metric(split, "loss").update(loss, weight=len(batch))
        others = ("accuracy", "macro_accuracy") if self.classifies else ("mean_absolute_error",)
        for name in others:
            self.metric(split, name).update(outputs, targets)
        self.log_metrics(split, "loss", *others, batch_size=len(batch))

    def predict_step(self, batch: GraphBatch, batch_idx: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the ids [M], the targets [M], and probabilities [M, C] or numbers [M]."""
        outputs = self(batch).double()  # in float32 close logits could become equal probabilities of another argmax
        return batch.ids, batch.targets, outputs.softmax(-1) if self.classifies else outputs


def _widened(graphs: Any) -> Any:
    """Convert features to float64, for precision=64: Lightning converts a batch's own tensors only."""
    if isinstance(graphs, list):
        return [_widened(block) for block in graphs]
    ndata, edata = (
        {name: x.to(dtype=torch.float64) if x.dtype.is_floating_point else x for name, x in data.items()}
        for data in (graphs.ndata, graphs.edata)
    )
    return graphs.replace(ndata=ndata, edata=edata)
