"""Sequence tasks as a LightningDataModule.

Shapes: B sequences a process, T tokens.
"""

from collections.abc import Iterator
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from lightning_dl2.data.sequences.curriculum import Curriculum
from lightning_dl2.data.sequences.generators import draw_batch, get_task, is_built_in, majority_share
from lightning_dl2.data.sequences.sequence_task import FEWEST_HELD_OUT, SequenceTask, check_own_task
from lightning_dl2.resume.train_batches import TrainBatches, check_share, rank_and_world

EVALUATION_SEED = 20201  # the validation and test sets are the same for every seed of a run

Batch = tuple[Tensor, Tensor]


class SequenceDataModule(LightningDataModule):
    """Draw training sequences step by step; only the fixed validation and test sets are stored.

    Training batch k is a function of (seed, k, the curriculum's length). All ranks draw the same global batch and each
    keeps its own rows: n processes with batch B train on the batches of one process with batch n*B.

    Args:
        name: one of SEQUENCE_TASKS, the dotted path of a SequenceTask of your own, or the task itself.
        sequence_length: size of the task as the literature counts it, see `generators`.
        batch_size: B.
        seed: of the training sequences.
        batches_per_epoch: length of an epoch of generated data.
        validation_size: sequences in the validation set; likewise `test_size`.
        evaluation_batch_size: largest validation or test batch; does not change the metrics.
        curriculum: arguments of Curriculum, with `enabled`; None or not enabled: every batch has full length.
        num_workers: processes that prefetch batches, which stay the same; 0: no prefetching.

    Raises:
        ValueError: an unknown task, a `sequence_length` too small for it, a size below 1, a `curriculum` without
            `enabled`, or workers beside a curriculum.
        UserError: a task of your own whose samples are not what it says.
    """

    placed_at = 0, 1  # rank and number of processes, without a Trainer

    def __init__(
        self,
        name: str | SequenceTask,
        sequence_length: int,
        batch_size: int,
        *,
        seed: int = 0,
        batches_per_epoch: int = 1000,
        validation_size: int = 4096,
        test_size: int = 4096,
        evaluation_batch_size: int = 512,
        curriculum: dict[str, Any] | None = None,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        self.task = get_task(name) if isinstance(name, str) else name
        self.task.check(sequence_length)
        sizes = {"batch_size": batch_size, "batches_per_epoch": batches_per_epoch, "validation_size": validation_size}
        sizes |= {"test_size": test_size, "evaluation_batch_size": evaluation_batch_size}
        for key, size in sizes.items():
            if size < 1:
                raise ValueError(f"{key}={size}: at least 1")
        if curriculum and "enabled" not in curriculum:
            raise ValueError(f"curriculum={curriculum}: needs `enabled`, True or False")
        self.length, self.batch_size, self.seed = sequence_length, batch_size, seed
        self.batches_per_epoch, self.evaluation_batch_size = batches_per_epoch, evaluation_batch_size
        self.num_workers = num_workers
        self.sizes = {"val": validation_size, "test": test_size}
        self.sets: dict[str, Batch] = {}
        self.curriculum: Curriculum | None = None
        if curriculum and curriculum["enabled"]:
            if num_workers:
                raise ValueError(f"num_workers={num_workers}: the curriculum decides a batch when it is asked for")
            rule = {key: value for key, value in curriculum.items() if key != "enabled"}
            self.curriculum = Curriculum(sequence_length, **rule)
        self.digest: str | None = None  # of a task of the user's own
        if not is_built_in(self.task):
            shorter = self.curriculum.minimum if self.curriculum else None
            self.digest = check_own_task(self.task, sequence_length, shorter)

    @property
    def spec(self) -> dict[str, Any]:
        """Describe the data for the model in plain values, which every checkpoint holds."""
        own = {} if self.digest is None else {"digest": self.digest}
        return own | {
            "vocabulary_size": self.task.vocabulary_size(self.length),
            "num_classes": self.task.num_classes(self.length),
            "sequence_length": self.task.num_tokens(self.length),
            "majority_baseline": self.task.majority_baseline(self.length),
        }

    def baselines(self) -> dict[str, float]:
        """Return the test accuracy of always answering the commonest label."""
        self.setup("test")
        return {"majority_baseline": majority_share(self.task, self.length, self.sets["test"][1])}

    @property
    def note(self) -> str | None:
        """Say in one line that the splits share their sequences, if too few exist to hold some out."""
        number = self.task.num_sequences(self.length)
        if number >= FEWEST_HELD_OUT:
            return None
        return (
            f"data.sequence_length={self.length}: there are only {number} sequences; training, validation and test"
            " share them"
        )

    def check_processes(self, number: int) -> None:
        """Raise UserError if a split is too small for so many processes."""
        for split, size in self.sizes.items():
            check_share(size, "sequences", split, number)

    def setup(self, stage: str | None = None) -> None:
        asked = {"fit": ["val"], "validate": ["val"], "test": ["test"]}.get(stage or "", ["val", "test"])
        for split in asked:
            if split not in self.sets:
                tokens, labels = draw_batch(
                    self.task, self.length, self.sizes[split], seed=EVALUATION_SEED, split=split, step=0
                )
                self.sets[split] = tokens.to(torch.int32), labels

    def train_batch(self, step: int) -> Batch:
        """Draw training batch number `step` of this rank: tokens int64 [B, T] and labels int64 [B]."""
        length, size = self.length, self.batch_size
        if self.curriculum:
            length = self.curriculum.draw_length(self.seed, step)
            size = self.curriculum.batch_size(size, self.task.num_tokens(length))
        rank, world = rank_and_world(self)
        tokens, labels = draw_batch(self.task, length, size * world, seed=self.seed, split="train", step=step)
        return tokens[rank::world], labels[rank::world]

    def train_dataloader(self) -> TrainBatches:
        return TrainBatches(self)

    def val_dataloader(self) -> "FixedBatches":
        return self._fixed("val")

    def test_dataloader(self) -> "FixedBatches":
        return self._fixed("test")

    def _fixed(self, split: str) -> "FixedBatches":
        rank, world = rank_and_world(self)
        tokens, labels = self.sets[split]
        size = len(labels)
        check_share(size, "sequences", split, world)
        # Equally many batches on every rank: all ranks take part in each.
        num_batches = min(-(-size // (self.evaluation_batch_size * world)), size // world)
        return FixedBatches(tokens[rank::world], labels[rank::world], num_batches)

    def state_dict(self) -> dict[str, Any]:
        return {"curriculum": self.curriculum.state_dict()} if self.curriculum else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.curriculum:
            self.curriculum.load_state_dict(state_dict["curriculum"])


class FixedBatches:
    """Batches of a fixed set, in order, whose sizes differ by one at most."""

    def __init__(self, tokens: Tensor, labels: Tensor, num_batches: int) -> None:
        self.tokens, self.labels = tokens.tensor_split(num_batches), labels.tensor_split(num_batches)

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Batch]:
        for tokens, labels in zip(self.tokens, self.labels, strict=True):
            yield tokens.long(), labels
