"""Sequences with targets that are given, in memory or in files, as a LightningDataModule.

Shapes: N sequences, B sequences a process and step, T steps, F features.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.paths import user_path
from lightning_dl2.data.baselines import majority_share
from lightning_dl2.data.sequences.fixed_sets import Constants
from lightning_dl2.data.sequences.published.mnist1d import published_set
from lightning_dl2.data.sequences.raw_sequences import Answer, RawSequences, from_memory, from_padded
from lightning_dl2.data.sequences.sequence_files import TOKENS, read_sequences
from lightning_dl2.data.sequences.sequence_set import SequenceBatch, SequenceSet
from lightning_dl2.decoding.vocabulary import NOT_COUNTED
from lightning_dl2.resume.train_batches import BatchList, TrainBatches, check_share, rank_and_world

SHARE = 0.1  # of validation and test, unless the caller says another


class LabelledSequenceDataModule(LightningDataModule):
    """Serve sequences of symbols or of real vectors, of any lengths, with a label or number each, or symbols at marks.

    Training batch k is a function of (seed, k, rank). Each epoch permutes the sequences anew and cuts them into batches
    whose sizes differ by one at most. All ranks cut the same batch of B times their number, and each keeps its own
    sequences. The vocabulary, and the mean and scale of real features, are those of the training sequences.

    Args:
        sequences: a list of texts, of lists of symbols, of integer arrays [T], or of real arrays [T] or [T, F]; or one
            array, integers [N, T] or real numbers [N, T] or [N, T, F]. Or the result of a reader, without labels.
        labels: N whole numbers or texts; with the target `number` N numbers; with `marked` symbols at marked steps, see
            `from_memory`.
        answer: what the labels are: label, number or marked.
        splits: "train", "val" or "test" for each sequence; None, or without val or test: shares are drawn.
        lengths: [N], steps of each sequence of one padded array.
        validation_fraction: share of each class that validates, where the data have no such split.
        test_fraction: likewise of the test.
        split_seed: of these shares, which are the same for every seed of a run.
        normalize: shift and scale real features to mean 0 and variance 1 over the steps of training.
        test_lengths: lengths, in steps, at which the test measures the accuracy, or the squared error of a number, of
            its sequences of this length.
        batch_size: B.
        evaluation_batch_size: largest validation or test batch; does not change the metrics.
        bucket_batches: batches whose sequences are sorted by length together, which spares padding; 1: none.
        num_workers: processes that prefetch batches, which stay the same; 0: no prefetching.
        seed: of the order of training.

    Raises:
        UserError: sequences, labels or splits that do not fit, or numbers that are not finite.
        ValueError: a size below 1, or shares outside of (0, 1).
    """

    placed_at = 0, 1  # rank and number of processes, without a Trainer
    _epoch: tuple[int, list[Tensor]] | None = None  # of the last batch, and the sequences of its batches

    def __init__(
        self,
        sequences: Any,
        labels: Any = None,
        *,
        answer: Answer = "label",
        splits: Any = None,
        lengths: Any = None,
        validation_fraction: float = SHARE,
        test_fraction: float = SHARE,
        split_seed: int = 0,
        normalize: bool = True,
        test_lengths: Sequence[int] = (),
        batch_size: int = 32,
        evaluation_batch_size: int = 256,
        bucket_batches: int = 1,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        sizes = {"batch_size": batch_size, "evaluation_batch_size": evaluation_batch_size}
        for key, size in (sizes | {"bucket_batches": bucket_batches}).items():
            if size < 1:
                raise ValueError(f"{key}={size}: at least 1")
        shares = validation_fraction, test_fraction
        if min(shares) <= 0 or sum(shares) >= 1:
            raise ValueError(f"validation_fraction={shares[0]}, test_fraction={shares[1]}: above 0, the sum below 1")
        self.batch_size, self.evaluation_batch_size, self.seed = batch_size, evaluation_batch_size, seed
        self.bucket_batches, self.num_workers = bucket_batches, num_workers
        raw = sequences
        if not isinstance(raw, RawSequences):
            raw = from_memory(sequences, labels, splits, lengths, answer)
        self.set = SequenceSet(raw, shares, split_seed, normalize)
        self.test_lengths = [int(at) for at in test_lengths]
        self._check_test_lengths(raw.where)
        idle = {
            "validation_fraction": validation_fraction != SHARE and "val" not in self.set.drawn,
            "test_fraction": test_fraction != SHARE and "test" not in self.set.drawn,
            "split_seed": split_seed != 0 and not self.set.drawn,
            "normalize": not normalize and self.set.vocabulary is not None,
        }
        if names := [name for name, has_none in idle.items() if has_none]:
            self.set.notes.append(f"keys without effect on these sequences: {', '.join(names)}")
        self._evaluated: dict[tuple[str, int, int], list[SequenceBatch]] = {}

    @classmethod
    def from_file(cls, path: str | Path, tokens: str = "characters", answer: Answer = "label", **options: Any) -> Self:
        """Read the sequences of a file or a directory; see `sequence_files` for the forms.

        Args:
            path: of .npz, .csv, .tsv or .txt, or of a directory with such files named train, val and test.
            tokens: how the text of a sequence is read, one of TOKENS: `characters`, `words` or `numbers`.
            answer: what the labels are: label, number or marked.
            options: arguments of the class.

        Raises:
            UserError: the first thing that is wrong, with its file and line.
            ValueError: unknown `tokens`.
        """
        if tokens not in TOKENS:
            raise ValueError(f"tokens={tokens!r}: choose from {', '.join(TOKENS)}")
        return cls(read_sequences(user_path("data.path", str(path)), tokens, answer), **options)

    @classmethod
    def from_mnist1d(cls, **options: Any) -> Self:
        """Draw the published set of MNIST-1D: 4000 training sequences, some of which validate, and 1000 of the test.

        Args:
            options: arguments of the class, without splits and `normalize`.
        """
        values, digits, splits = published_set()
        raw = from_padded(values, None, digits, splits, "data.name=mnist1d")
        return cls(raw, normalize=False, **options)

    def _check_test_lengths(self, where: str) -> None:
        found = self.set.lengths[self.set.splits["test"]].unique().tolist()
        for at in self.test_lengths:
            if at not in found:
                raise UserError(
                    f"data.test_lengths={self.test_lengths}: {where} has no test sequence of {at} steps; allowed:"
                    f" lengths of test sequences, which are {found[0]} to {found[-1]}"
                )

    def _items_at(self, length: int) -> Tensor:
        items = self.set.splits["test"]
        return items[self.set.lengths[items] == length]

    @cached_property
    def spec(self) -> dict[str, Any]:
        """Describe the data for the model in plain values, which every checkpoint holds."""
        data = self.set
        inputs: dict[str, Any] = {"features": data.values.shape[-1], "mean": data.mean, "scale": data.scale}
        if data.vocabulary is not None:
            size = len(data.vocabulary)
            inputs = {"vocabulary_size": size, "unknown_token": size, "vocabulary": list(data.vocabulary)}
        return {
            "digest": data.digest,
            "sizes": {split: len(items) for split, items in data.splits.items()},
            **inputs,
            **self._spec_of_targets(),
            "sequence_length": int(data.lengths[data.splits["train"]].max()),
            **self.baselines(),
            **self._spec_of_lengths(),
        }

    def _spec_of_targets(self) -> dict[str, Any]:
        if self.set.answer == "number":
            return Constants(self._targets("train")).spec()
        classes, train = len(self.set.class_names), self._targets("train")
        return {
            "num_classes": classes,
            "class_names": list(self.set.class_names),
            "class_shares": (torch.bincount(train, minlength=classes) / len(train)).tolist(),
        }

    def _spec_of_lengths(self) -> dict[str, Any]:
        longest = int(self.set.lengths[self.set.splits["train"]].max())
        return {"test_lengths": self.test_lengths, "longest_length": longest} if self.test_lengths else {}

    def _targets(self, split: str) -> Tensor:
        """Return all targets of a split, one after the other."""
        found = self.set.targets(self.set.splits[split])
        return found[found != NOT_COUNTED] if self.set.answer == "marked" else found

    def baselines(self) -> dict[str, float]:
        """Return the test accuracy of always answering training's commonest label, or the errors of constants."""
        train, test = self._targets("train"), self._targets("test")
        if self.set.answer == "number":
            return Constants(train).baselines(test)
        return {"majority_baseline": majority_share(train.numpy(), test.numpy(), len(self.set.class_names))}

    @property
    def note(self) -> str | None:
        """Say in one line what may surprise: duplicates over splits, unknown symbols, classes without training."""
        return f"data: {'; '.join(self.set.notes)}" if self.set.notes else None

    @property
    def batches_per_epoch(self) -> int:
        return self._num_batches("train", self.batch_size)

    def train_batch(self, step: int) -> SequenceBatch:
        """Build training batch number `step` of this rank."""
        epoch, number = divmod(step, self.batches_per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = epoch, self._batches_of(epoch)
        return self._share(self._epoch[1][number])

    def _batches_of(self, epoch: int) -> list[Tensor]:
        """Return the sequences of each batch of an epoch, for all ranks together."""
        rng, items = np.random.default_rng((self.seed, epoch)), self.set.splits["train"]
        order = items[torch.from_numpy(rng.permutation(len(items)))]
        batches = list(order.tensor_split(self.batches_per_epoch))
        if (together := self.bucket_batches) == 1:
            return batches
        for begin in range(0, len(batches), together):
            bucket = batches[begin : begin + together]
            joined = torch.cat(bucket)
            by_length = joined[self.set.lengths[joined].argsort(stable=True)]
            batches[begin : begin + together] = by_length.split([len(batch) for batch in bucket])
        return [batches[number] for number in rng.permutation(len(batches))]

    def train_dataloader(self) -> TrainBatches:
        return TrainBatches(self)

    def val_dataloader(self) -> BatchList:
        return BatchList(self.evaluation_batches("val"))

    def test_dataloader(self) -> BatchList:
        batches = list(self.evaluation_batches("test"))
        for at in self.test_lengths:
            items = self._items_at(at)
            parts = items.tensor_split(self._count_batches(len(items), "test", self.evaluation_batch_size))
            with torch.inference_mode(False):
                batches += [self._share(part, measured_at=at) for part in parts]
        return BatchList(batches)

    def evaluation_batches(self, split: str) -> list[SequenceBatch]:
        """Return this rank's share of a split, the shortest sequences first; every rank has equally many batches."""
        key = (split, *rank_and_world(self))
        if key not in self._evaluated:  # a fixed set: padded once
            items = self.set.splits[split]
            items = items[self.set.lengths[items].argsort(stable=True)]
            parts = items.tensor_split(self._num_batches(split, self.evaluation_batch_size))
            with torch.inference_mode(False):  # later evaluations may need gradients
                self._evaluated[key] = [self._share(part) for part in parts]
        return self._evaluated[key]

    @property
    def class_names(self) -> list[str]:
        return self.set.class_names

    def count_items(self, split: str) -> int:
        """Count the sequences of a split."""
        return len(self.set.splits.get(split, ()))

    def id_columns(self, ids: Tensor) -> dict[str, list[str]]:
        """Return the numbers of sequences in their source, from 0 on, for predictions."""
        return {"id": [str(number) for number in ids.tolist()]}

    def input_columns(self, batch: SequenceBatch) -> dict[str, list[str]]:
        """Return further columns of predictions: none."""
        return {}

    def check_processes(self, number: int) -> None:
        """Raise UserError if a split is too small for so many processes."""
        for split, items in self.set.splits.items():
            check_share(len(items), "sequences", split, number)
        for at in self.test_lengths:
            check_share(len(self._items_at(at)), f"sequences of {at} steps", "test", number)

    def _num_batches(self, split: str, size: int) -> int:
        return self._count_batches(len(self.set.splits[split]), split, size)

    def _count_batches(self, items: int, split: str, size: int) -> int:
        _, world = rank_and_world(self)
        check_share(items, "sequences", split, world)
        return min(-(-items // (size * world)), items // world)

    def _share(self, items: Tensor, measured_at: int | None = None) -> SequenceBatch:
        """Build this rank's batch of the sequences of a step of all ranks."""
        rank, world = rank_and_world(self)
        mine = items[rank::world]
        if self.set.answer != "marked":
            return self.set.batch(mine, len(mine) * world / len(items), measured_at)
        counts = [(self.set.targets(part) != NOT_COUNTED).sum().item() for part in (mine, items)]
        return self.set.batch(mine, counts[0] * world / counts[1], measured_at)
