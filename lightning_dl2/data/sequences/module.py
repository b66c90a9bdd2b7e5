"""Sequence tasks as a LightningDataModule.

Shapes: B sequences a process, T tokens or steps, F features.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from lightning_dl2.data.sequences.curriculum import Curriculum
from lightning_dl2.data.sequences.fixed_sets import Batch, Constants, FixedBatches, FixedTrainingSet, check_lengths
from lightning_dl2.data.sequences.formal.next_symbols import NextSymbols
from lightning_dl2.data.sequences.generators import commonest_share, draw_batch, get_task, is_built_in, majority_share
from lightning_dl2.data.sequences.mixed_lengths import Sequences, draw_sequences
from lightning_dl2.data.sequences.sequence_set import SequenceBatch
from lightning_dl2.data.sequences.sequence_task import FEWEST_HELD_OUT, MEASURED, SequenceTask, check_own_task
from lightning_dl2.resume.train_batches import BatchList, TrainBatches, check_share, rank_and_world

EVALUATION_SEED = 20201  # the validation and test sets are the same for every seed of a run


class SequenceDataModule(LightningDataModule):
    """Draw training sequences step by step; only the fixed validation and test sets are stored.

    Training batch k is a function of (seed, k, the curriculum's length). All ranks draw the same global batch and each
    keeps its own rows: n processes with batch B train on the batches of one process with batch n*B.

    A batch is (tokens [B, T], labels [B]). It is a SequenceBatch of sequences of several lengths, with targets at
    marked positions, or of a fixed training set.

    Args:
        name: one of TASKS, the dotted path of a SequenceTask of your own, or the task itself.
        sequence_length: size of the task as the literature counts it, see `generators`.
        shortest_length: each sequence of training, validation and test has its own length, uniform from this one to
            `sequence_length` or, in training, to the curriculum's; None: all have the latter.
        test_lengths: further lengths at which the test measures the accuracy.
        length_test_size: sequences at each of them.
        training_size: sequences of a fixed training set, which is the same for every seed of a run; each epoch takes
            them in a new order. None: each batch is drawn anew, without end.
        next_symbols: training also asks, after each symbol of a string, which may follow; validation and test do not.
        hidden_symbols: arguments of HiddenSymbols, which needs `next_symbols`; None: training shows all symbols.
        batch_size: B.
        seed: of the training sequences.
        batches_per_epoch: length of an epoch of data that are drawn without end.
        validation_size: sequences in the validation set; likewise `test_size`.
        evaluation_batch_size: largest validation or test batch; does not change the metrics.
        curriculum: arguments of Curriculum, with `enabled`; None or not enabled: every batch has full length.
        num_workers: processes that prefetch batches, which stay the same; 0: no prefetching.

    Raises:
        ValueError: an unknown task, a `sequence_length` too small for it, a size below 1, a `curriculum` without
            `enabled`, or workers or a fixed training set beside a curriculum.
        UserError: a task of your own whose samples are not what it says, or one without `next_symbols`.
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
        shortest_length: int | None = None,
        test_lengths: Sequence[int] = (),
        length_test_size: int = 128,
        training_size: int | None = None,
        next_symbols: bool = False,
        hidden_symbols: dict[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.task = get_task(name) if isinstance(name, str) else name
        self.task.check(sequence_length)
        self.next_symbols = NextSymbols.of(self.task, hidden_symbols) if next_symbols else None
        self.training_task = self.next_symbols or self.task
        if hidden_symbols and (not next_symbols or training_size is not None):
            raise ValueError(f"hidden_symbols={hidden_symbols}: needs next_symbols, and no training_size")
        sizes = {"batch_size": batch_size, "batches_per_epoch": batches_per_epoch, "validation_size": validation_size}
        sizes |= {"test_size": test_size, "evaluation_batch_size": evaluation_batch_size}
        sizes |= {"length_test_size": length_test_size} | (
            {} if training_size is None else {"training_size": training_size}
        )
        for key, size in sizes.items():
            if size < 1:
                raise ValueError(f"{key}={size}: at least 1")
        if curriculum and "enabled" not in curriculum:
            raise ValueError(f"curriculum={curriculum}: needs `enabled`, True or False")
        self.length, self.batch_size, self.seed = sequence_length, batch_size, seed
        self._drawn_per_epoch, self.evaluation_batch_size = batches_per_epoch, evaluation_batch_size
        self.num_workers = num_workers
        self.sizes = {"val": validation_size, "test": test_size}
        if training_size is not None:
            self.sizes = {"train": training_size, **self.sizes}
        self.sets: dict[str, tuple[Tensor, Tensor] | Sequences] = {}
        self.shortest, self.length_test_size = shortest_length, length_test_size
        self.test_lengths = check_lengths(self.task, sequence_length, shortest_length, test_lengths)
        self.sets_at: dict[int, Sequences] = {}  # of test_lengths
        self.curriculum: Curriculum | None = None
        if curriculum and curriculum["enabled"]:
            if num_workers:
                raise ValueError(f"num_workers={num_workers}: the curriculum decides a batch when it is asked for")
            if training_size is not None:
                raise ValueError(f"training_size={training_size}: a curriculum draws sequences of other lengths")
            rule = {key: value for key, value in curriculum.items() if key != "enabled"}
            self.curriculum = Curriculum(sequence_length, **rule)
        self.digest: str | None = None  # of a task of the user's own
        if not is_built_in(self.task):
            shorter = shortest_length or (self.curriculum.minimum if self.curriculum else None)
            self.digest = check_own_task(self.task, sequence_length, shorter)

    @property
    def spec(self) -> dict[str, Any]:
        """Describe the data for the model in plain values, which every checkpoint holds."""
        found: dict[str, Any] = {} if self.digest is None else {"digest": self.digest}
        if (features := self.task.features) is None:
            found["vocabulary_size"] = self.training_task.vocabulary_size(self.length)
        else:
            found["features"] = features
        if not self.task.regression:
            found["num_classes"] = self.training_task.num_classes(self.length)
            found |= {"answer_classes": self.task.num_classes(self.length)} if self.next_symbols else {}
        found["sequence_length"] = self.task.num_tokens(self.length)
        if self.task.regression:
            found |= self.constants.spec() | self.baselines()
        elif not self.mixes:
            return found | {"majority_baseline": self.task.majority_baseline(self.length)}
        lengths = {"shortest_length": self.shortest, "longest_length": self.length, "test_lengths": self.test_lengths}
        return found | lengths

    @property
    def mixes(self) -> bool:
        """Tell whether batches are of the kind SequenceBatch."""
        return self.task.marked or self.task.regression or self.shortest is not None or bool(self.test_lengths)

    @cached_property
    def constants(self) -> Constants:
        """Return the constant answers to a regression; without a fixed training set, of MEASURED training sequences."""
        if "train" in self.sizes:
            return Constants(self.training_set.sequences.labels)
        return Constants(self._draw("train", self.shortest or self.length, self.length, MEASURED, step=0).labels)

    def baselines(self) -> dict[str, float]:
        """Return the test accuracy of always answering the commonest label, or the errors of constant answers."""
        self.setup("test")
        labels = self.sets["test"][1]
        if self.task.regression:
            return self.constants.baselines(labels)
        return {"majority_baseline": commonest_share(labels) if self.mixes else self._majority(labels)}

    def _majority(self, labels: Tensor) -> float:
        return majority_share(self.task, self.length, labels)

    @property
    def note(self) -> str | None:
        """Say in one line that the splits share their sequences, if too few exist to hold some out."""
        if self.shortest is not None:
            few = [at for at in range(self.shortest, self.length + 1) if not self.task.holds_out(at)]
            if not few:
                return None
            return (
                f"data.shortest_length={self.shortest}: up to length {max(few)} there are fewer than"
                f" {FEWEST_HELD_OUT} sequences; training, validation and test share them"
            )
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
                self.sets[split] = self._draw_set(split)
                for at in self.test_lengths if split == "test" else ():
                    self.sets_at[at] = self._draw("test", at, at, self.length_test_size, step=1)

    def _draw_set(self, split: str) -> tuple[Tensor, Tensor] | Sequences:
        if self.mixes:
            return self._draw(split, self.shortest or self.length, self.length, self.sizes[split], step=0)
        seed = EVALUATION_SEED
        tokens, labels = draw_batch(self.task, self.length, self.sizes[split], seed=seed, split=split, step=0)
        return _stored(tokens), labels

    def _draw(self, split: str, shortest: int, longest: int, size: int, step: int) -> Sequences:
        """Draw a fixed set, the shortest sequences first, so that batches need little padding."""
        task = self.training_task if split == "train" else self.task
        drawn = draw_sequences(task, shortest, longest, size, seed=EVALUATION_SEED, split=split, step=step)
        order = drawn.lengths.argsort(stable=True)
        return Sequences(_stored(drawn.tokens[order]), drawn.labels[order], drawn.lengths[order])

    @cached_property
    def training_set(self) -> FixedTrainingSet:
        """Return the fixed training set, where `training_size` asks for one."""
        drawn = self._draw("train", self.shortest or self.length, self.length, self.sizes["train"], step=0)
        return FixedTrainingSet(drawn, self.seed, by_sequence=self.next_symbols is not None)

    @property
    def batches_per_epoch(self) -> int:
        if "train" not in self.sizes:
            return self._drawn_per_epoch
        return self._num_batches(self.sizes["train"], "train", self.batch_size)

    def train_batch(self, step: int) -> Batch:
        """Draw training batch number `step` of this rank: tokens int64 [B, T] and labels int64 [B]."""
        rank, world = rank_and_world(self)
        if "train" in self.sizes:
            return self.training_set.batch(step, self.batches_per_epoch, rank, world)
        length, size = self.length, self.batch_size
        if self.curriculum:
            length = self.curriculum.draw_length(self.seed, step)
            size = self.curriculum.batch_size(size, self.task.num_tokens(length))
        if self.mixes:
            shortest, number = min(self.shortest or length, length), size * world
            drawn = draw_sequences(
                self.training_task, shortest, length, number, seed=self.seed, split="train", step=step
            )
            if self.next_symbols:
                drawn = self.next_symbols.hide(drawn, seed=self.seed, step=step)
            mine = torch.arange(rank, size * world, world)
            return drawn.batch(mine, drawn.weight(mine, world, by_sequence=self.next_symbols is not None))
        tokens, labels = draw_batch(self.task, length, size * world, seed=self.seed, split="train", step=step)
        return tokens[rank::world], labels[rank::world]

    def train_dataloader(self) -> TrainBatches:
        return TrainBatches(self)

    def val_dataloader(self) -> "FixedBatches | BatchList":
        return self._fixed("val")

    def test_dataloader(self) -> "FixedBatches | BatchList":
        return self._fixed("test")

    def _fixed(self, split: str) -> "FixedBatches | BatchList":
        if self.mixes:
            batches = self.evaluation_batches(split)
            for at, found in self.sets_at.items() if split == "test" else ():
                batches += self._batches(found, split, measured_at=at)
            return BatchList(batches)
        rank, world = rank_and_world(self)
        tokens, labels = self.sets[split][:2]
        num_batches = self._num_batches(len(labels), split)
        return FixedBatches(tokens[rank::world], labels[rank::world], num_batches)

    def _num_batches(self, size: int, split: str, rows: int | None = None) -> int:
        """Count the batches of `size` sequences; every rank has as many, as all ranks take part in each."""
        _, world = rank_and_world(self)
        check_share(size, "sequences", split, world)
        return min(-(-size // ((rows or self.evaluation_batch_size) * world)), size // world)

    def evaluation_batches(self, split: str) -> list[SequenceBatch]:
        """Return this rank's share of val or test, in order."""
        if split == "train":
            stored = self.training_set.sequences
            return self._batches(self.next_symbols.answers_alone(stored) if self.next_symbols else stored, split)
        self.setup({"val": "validate"}.get(split, split))
        found = self.sets[split]
        if not isinstance(found, Sequences):
            tokens, labels = found
            found = Sequences(tokens, labels, torch.full((len(labels),), tokens.shape[1]))
        return self._batches(found, split)

    def _batches(self, found: Sequences, split: str, measured_at: int | None = None) -> list[SequenceBatch]:
        rank, world = rank_and_world(self)
        parts = torch.arange(rank, len(found.labels), world).tensor_split(self._num_batches(len(found.labels), split))
        with torch.inference_mode(False):  # later evaluations may need gradients
            return [found.batch(rows, measured_at=measured_at) for rows in parts]

    @property
    def class_names(self) -> list[str]:
        return [] if self.task.regression else [str(number) for number in range(self.task.num_classes(self.length))]

    def count_items(self, split: str) -> int:
        """Count the sequences of a fixed set; those that are drawn without end count as none."""
        return self.sizes.get(split, 0)

    def id_columns(self, ids: Tensor) -> dict[str, list[str]]:
        """Return the numbers of sequences in their set, from 0 on, for predictions."""
        return {"id": [str(number) for number in ids.tolist()]}

    def input_columns(self, batch: SequenceBatch) -> dict[str, list[str]]:
        """Return the tokens of each sequence of a batch, for predictions; real vectors are left out."""
        if self.task.features is not None:
            return {}
        ends = [batch.tokens.shape[1]] * len(batch.ids) if batch.lengths is None else batch.lengths.tolist()
        rows = zip(batch.tokens.tolist(), ends, strict=True)
        return {"input": [" ".join(map(str, tokens[:end])) for tokens, end in rows]}

    def state_dict(self) -> dict[str, Any]:
        return {"curriculum": self.curriculum.state_dict()} if self.curriculum else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.curriculum:
            self.curriculum.load_state_dict(state_dict["curriculum"])


def _stored(tokens: Tensor) -> Tensor:
    """Return tokens as int32, which takes half the memory, and real vectors as they are."""
    return tokens if tokens.is_floating_point() else tokens.to(torch.int32)
