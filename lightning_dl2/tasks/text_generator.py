"""The text experiment: predict the next character by a recurrent net.

Shapes: B streams of text, T tokens a window, V tokens in the vocabulary.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from lightning_dl2.decoding.vocabulary import NOT_COUNTED
from lightning_dl2.nets import CELLS, Ensemble, LanguageModel
from lightning_dl2.nets.own_vocabulary import build_vocabulary
from lightning_dl2.nets.recurrent.layers import set_optimizer_step
from lightning_dl2.nets.recurrent.lookup import check_cell_name
from lightning_dl2.nets.recurrent.states import State
from lightning_dl2.tasks.metrics import Mean
from lightning_dl2.tasks.task import Task, check_spec


class TextGenerator(Task):
    """Minimise the cross entropy of the next token; the state is carried from window to window (truncated BPTT).

    A batch is (tokens [B, T], targets [B, T], fresh, cold). A `fresh` batch continues no other and begins from a zero
    state. The loss of a `cold` one is averaged apart, as the loss from a zero state. Checkpoints hold the carried
    state.

    Args:
        spec: `datamodule.spec`: vocabulary_size, vocabulary, sequence_length.
        optimizer: see `optimizers.complete`; None: DEFAULTS.
        reset_probability: share of the streams whose state is reset before a training window: teaches the net to begin
            from a zero state, which it otherwise meets once an epoch.
        focal_gamma: of `focal_cross_entropy` in training, which counters the overconfidence of a net that begins to
            memorise its text. 0: cross entropy.
        ensemble_size: number of nets whose logits are averaged, see `Ensemble`. Each learns from the same batches by
            its own loss. Training minimises, clips and logs the mean of the losses: each net's gradient is divided by
            their number, which leaves Adam and Muon unchanged, but not SGD.
        net: arguments of LanguageModel: cell, hidden_size, num_layers, ...

    Raises:
        ValueError: the net cannot be built from these arguments, or an ensemble_size below 1.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        optimizer: dict[str, Any] | None = None,
        *,
        reset_probability: float = 0.0,
        focal_gamma: float = 0.0,
        ensemble_size: int = 1,
        **net: Any,
    ) -> None:
        super().__init__()
        check_cell_name(net.get("cell", "lstm"), tuple(CELLS))
        check_spec(spec, "vocabulary_size", "vocabulary", "sequence_length")
        self.save_hyperparameters()
        self.spec, self.reset_probability, self.focal_gamma = spec, reset_probability, focal_gamma
        self.unit = build_vocabulary(spec["vocabulary"]).unit
        sizes = {"vocabulary_size": spec["vocabulary_size"], "sequence_length": spec["sequence_length"]}
        members = [LanguageModel(**sizes, **net) for _ in range(ensemble_size)]
        self.net = members[0] if ensemble_size == 1 else Ensemble(members)
        self.state: State | None = None  # after the last training batch, of this rank
        self._begun: tuple[Any, State | None] = None, None  # the last training batch, and the state before it
        self.evaluated: State | None = None  # the same in a validation or test
        self.add_metrics()

    def build_metrics(self) -> dict[str, Metric]:
        classes = max(2, self.spec["vocabulary_size"])  # torchmetrics knows no fewer; a text of one character has one
        accuracy = MulticlassAccuracy(classes, average="micro", ignore_index=NOT_COUNTED)
        return {"loss": Mean(), "accuracy": accuracy, "loss_cold": Mean()}

    def derived_metrics(self, split: str) -> dict[str, Tensor]:
        loss = self.metric(split, "loss").compute()
        return {self.unit: loss / math.log(2), "perplexity": loss.exp()}

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map tokens [B, T] and the state before them to logits [B, T, V] and the state after them."""
        return self.net(tokens, state)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self._begun = None, None
        set_optimizer_step(self.net, self.global_step)

    def training_step(self, batch: tuple[Tensor, Tensor, bool, bool], batch_idx: int) -> dict[str, Tensor]:
        tokens, targets, fresh, _ = batch
        if batch is not self._begun[0]:  # LBFGS computes the loss of a batch many times, each from the same state
            self._begun = batch, self.state
        _, state = self._begun
        if fresh or state is None:
            state = None
        else:  # a checkpoint is loaded before the module goes to its device
            state = self._reset_some(_each(state, lambda part: part.to(tokens.device)))
        logits, state = self.net.each(tokens, state)
        self.state = _each(state, Tensor.detach)
        targets = targets.expand(len(logits), *targets.shape)
        loss, nats = focal_cross_entropy(logits.flatten(0, 2), targets.flatten(), self.focal_gamma)
        accuracy = (logits.argmax(-1) == targets).float().mean()
        return {"loss": loss, self.unit: nats / math.log(2), "accuracy": accuracy}

    def _reset_some(self, state: State) -> State:
        if not self.reset_probability:
            return state
        first = state if isinstance(state, Tensor) else state[0]
        kept = torch.rand(1, first.shape[1], 1, device=first.device) >= self.reset_probability
        return _each(state, lambda part: part * kept.view(1, -1, *[1] * (part.dim() - 2)))

    def evaluate_batch(self, batch: tuple[Tensor, Tensor, bool, bool], split: str) -> None:
        tokens, targets, fresh, cold = batch
        logits, state = self(tokens, None if fresh else self.evaluated)
        if not cold:
            self.evaluated = state
        count = (targets != NOT_COUNTED).sum()
        total = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=NOT_COUNTED, reduction="sum")
        loss = total / count.clamp(min=1)  # without a prediction, zero with weight zero
        if cold:
            self.metric(split, "loss_cold").update(loss, weight=count)
            self.log_metrics(split, "loss_cold", batch_size=len(tokens))
        else:
            self.metric(split, "loss").update(loss, weight=count)
            self.metric(split, "accuracy").update(logits.argmax(-1), targets)
            self.log_metrics(split, "loss", "accuracy", batch_size=len(tokens))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the carried state of every rank: a list of parts, each [world, L, B, H]."""
        super().on_save_checkpoint(checkpoint)
        if self.state is None:
            return
        parts = [self.state] if isinstance(self.state, Tensor) else self.state
        gathered: Any = (self.all_gather(part) if self.trainer.world_size > 1 else part.unsqueeze(0) for part in parts)
        checkpoint["carried_state"] = [part.cpu() for part in gathered]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        parts = checkpoint.get("carried_state")
        if parts is None or self._trainer is None:  # loaded for evaluation: no training continues
            return
        if len(parts[0]) != self.trainer.world_size:
            raise ValueError(
                f"the checkpoint carries the state of {len(parts[0])} process(es), here are {self.trainer.world_size}"
            )
        mine = [part[self.global_rank] for part in parts]
        self.state = mine[0] if len(mine) == 1 else tuple(mine)


def focal_cross_entropy(logits: Tensor, targets: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Return the mean of (1 - p)^gamma (-ln p), p the probability of the target (Lin et al. 2017), and that of -ln p.

    It learns less from what is almost known, and so calibrates an overconfident net (Mukhoti et al. 2020). The second
    mean has no gradient. Logits are [N, V], targets [N]; those that are NOT_COUNTED are left out.
    """
    if not gamma:
        loss = F.cross_entropy(logits, targets, ignore_index=NOT_COUNTED)
        return loss, loss.detach()
    nats = F.cross_entropy(logits, targets, ignore_index=NOT_COUNTED, reduction="none")
    count = (targets != NOT_COUNTED).sum()
    # 1 - p without loss of digits near p = 1; the clamp is for p = 1, where the power has no gradient
    unknown = (-torch.expm1(-nats)).clamp(min=1e-12)
    return (unknown**gamma * nats).sum() / count, nats.detach().sum() / count


def _each(state: State, function: Any) -> State:
    return function(state) if isinstance(state, Tensor) else tuple(function(part) for part in state)
