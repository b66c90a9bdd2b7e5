"""Text as a LightningDataModule: windows of tokens, with the next token as the target.

Shapes: B streams a process, T tokens a window, N tokens in a split, K batches an epoch.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from pytorch_lightning import LightningDataModule

from lightning_dl2.builtin.data_path import check_data_path
from lightning_dl2.builtin.text_files import SPLITS, count_names, describe_skipped, find_texts
from lightning_dl2.common.errors import UserError
from lightning_dl2.data import downloads
from lightning_dl2.data.baselines import compressed_sizes, majority_share
from lightning_dl2.data.text import corpora
from lightning_dl2.data.text.token_file import TokenFile, tokenize
from lightning_dl2.data.text.windows import EvaluationBatches, TextBatch, read_ring
from lightning_dl2.resume.train_batches import TrainBatches, rank_and_world


class TextDataModule(LightningDataModule):
    """Split a text by position: training, then validation, then test. The text stays on the disk.

    Training batch k is a function of (seed, k, rank). Within an epoch each stream of a rank reads on where it stopped,
    so that a state can be carried from batch to batch; n processes with batch B train on the batches of one process
    with batch n*B.

    The text is downloaded and tokenised here, not in `setup`, so that errors in it are found before a run begins.

    Args:
        name: one of CORPORA, or "text", which needs a `path`.
        path: the text to read in place of the named one: a file, also .gz, a directory, a pattern, or a list of these;
            see `find_texts`.
        splits: "position", or "files": files with train, val or test in their names are these splits, and the
            fractions have no effect.
        tokens: "characters", "bytes", or the dotted path of a class, see `lightning_dl2.nets.own_vocabulary`.
        encoding: Python's name of the file's encoding, or "auto".
        sequence_length, batch_size: T, B.
        validation_fraction: share of the text; likewise `test_fraction`. Without a test split, the validation split is
            tested on.
        evaluation_batch_size, evaluation_warmup, cold_window: rows, warmup and width of EvaluationBatches.
        cache_dir: for downloads and tokens; None: the user's cache directory.
        num_workers: processes that prefetch batches, which stay the same; 0: no prefetching.
        seed: decides where in the text the epochs begin.

    Raises:
        UserError: the text is missing, no text, or too short.
    """

    placed_at = 0, 1  # rank and number of processes, without a Trainer

    def __init__(
        self,
        name: str,
        path: str | Sequence[str] | None = None,
        *,
        splits: str = "position",
        tokens: str = "characters",
        encoding: str = "auto",
        sequence_length: int = 128,
        batch_size: int = 64,
        validation_fraction: float = 0.1,
        test_fraction: float = 0.0,
        evaluation_batch_size: int = 32,
        evaluation_warmup: int = 256,
        cold_window: int = 256,
        cache_dir: str | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if path is None:
            check_data_path(name, path)
        self.length, self.batch_size, self.seed = sequence_length, batch_size, seed
        self.num_workers = num_workers
        self.evaluation = {"rows": evaluation_batch_size, "warmup": evaluation_warmup, "width": cold_window}
        cache = downloads.cache_dir(cache_dir)
        self.split_by = splits
        texts = find_texts(path if path is not None else str(corpora.download(name, cache)), splits)
        self.text = tokenize(texts, tokens, encoding, cache)
        self.vocabulary, self.digest, self.encoding = self.text.vocabulary, self.text.digest, self.text.encoding
        self.is_detected = encoding == "auto"
        if splits == "position":
            self.splits = _split(self.text.tokens, validation_fraction, test_fraction)
        else:
            self.splits = _split_by_files(self.text)
        self.check_processes(1)

    @property
    def note(self) -> str | None:
        """Name in one line the files that were skipped, have the same content, or were read in a detected encoding."""
        texts, says, fixes = self.text.texts, list[str](), list[str]()
        if texts.skipped:
            says.append(f"not read: {describe_skipped(texts.skipped)}")
            fixes.append("name others by data.path")
        if texts.repeated:
            says.append(count_names(texts.repeated, " with the content of another"))
            fixes.append("remove copies")
        if others := self._other_encodings():
            says.append(others)
            fixes.append("if that is wrong, set data.encoding=NAME")
        return f"data.path={texts.given}: {'; '.join(says)}; fix: {', '.join(fixes)}" if says else None

    def _other_encodings(self) -> str | None:
        """Say which encodings were detected; None: UTF-8 only, or none was."""
        names: dict[str, list[str]] = {}
        for file, encoding in zip(self.text.texts.files, self.text.encodings, strict=True):
            if self.is_detected and encoding not in (None, "utf-8", "utf-8-sig"):
                names.setdefault(str(encoding), []).append(file.name)
        if not names:
            return None
        if len(self.text.encodings) == 1:
            return f"was read as {self.encoding}"
        return ", ".join(count_names(each, f" read as {encoding}") for encoding, each in sorted(names.items()))

    @cached_property
    def spec(self) -> dict[str, Any]:
        """Describe the data for the model in plain values, which every checkpoint holds."""
        return {
            "vocabulary_size": len(self.vocabulary),
            "vocabulary": self.vocabulary.plain,
            "sequence_length": self.length,
            "majority_baseline": majority_share(self.splits["train"], self.splits["test"], len(self.vocabulary)),
            "num_tokens": {split: len(tokens) for split, tokens in self.splits.items()},
            "digest": self.digest,
        }

    def baselines(self) -> dict[str, float]:
        """Return the test accuracy of the commonest token, and the bits a token of programs that compress."""
        sizes = compressed_sizes(self.splits["train"], self.splits["test"], self.vocabulary)
        return {
            "majority_baseline": self.spec["majority_baseline"],
            **{f"{self.vocabulary.unit}_{program}": size for program, size in sizes.items()},
        }

    def check_processes(self, number: int) -> None:
        """Raise UserError if a split is too small for so many processes."""
        self._check_training_split(number)
        for split in ("val", "test"):
            self._check_evaluation_split(split, number)

    @property
    def batches_per_epoch(self) -> int:
        """Return K: an epoch ends before a stream would reach the start of the next one."""
        _, world = rank_and_world(self)
        return self._batches_per_epoch(world)

    def train_batch(self, step: int) -> TextBatch:
        """Read training batch number `step` of this rank."""
        rank, world = rank_and_world(self)
        ring, num_batches = self.splits["train"], self._batches_per_epoch(world)
        epoch, number = divmod(step, num_batches)
        # Each epoch begins elsewhere, so that other windows are cut, and other text is left out at the end.
        offset = np.random.default_rng((self.seed, epoch)).integers(len(ring))
        streams = np.arange(rank * self.batch_size, (rank + 1) * self.batch_size)
        starts = offset + (streams * num_batches + number) * self.length
        return TextBatch(*read_ring(ring, starts, self.length), fresh=number == 0, cold=False)

    def train_dataloader(self) -> TrainBatches:
        self._check_training_split(rank_and_world(self)[1])
        return TrainBatches(self)

    def val_dataloader(self) -> EvaluationBatches:
        return self._evaluation_batches("val")

    def test_dataloader(self) -> EvaluationBatches:
        return self._evaluation_batches("test")

    def _evaluation_batches(self, split: str) -> EvaluationBatches:
        rank, world = rank_and_world(self)
        self._check_evaluation_split(split, world)
        return EvaluationBatches(self.splits[split], rank, world, **self.evaluation)

    def _batches_per_epoch(self, world: int) -> int:
        return len(self.splits["train"]) // (self.batch_size * world * self.length)

    def _check_training_split(self, world: int) -> None:
        if self._batches_per_epoch(world):
            return
        size, streams = len(self.splits["train"]), self.batch_size * world
        shorter = f"data.sequence_length={size // streams} or less, " if size >= streams else ""
        raise UserError(
            f"data.sequence_length={self.length}: the training split has {size} {self.vocabulary.noun} for {streams}"
            f" streams of {self.length}; fix: use {shorter}a data.batch_size below {self.batch_size}, or a longer text"
        )

    def _check_evaluation_split(self, split: str, world: int) -> None:
        size = len(self.splits[split])
        if size > world:
            return
        name = {"val": "validation", "test": "test"}[split]
        key, fix = f"data.{name}_fraction", "give a larger fraction or a longer text"
        if self.split_by == "files":
            key, fix = "data.splits=files", "give longer files"
        raise UserError(
            f"{key}: the {name} split has {size} {self.vocabulary.noun} for {world} process(es);"
            f" fix: {fix}, so that it has {world + 1} or more"
        )


def _split(whole: np.ndarray, validation_fraction: float, test_fraction: float) -> dict[str, np.ndarray]:
    """Cut where others cut: with a tenth held out, training has int(0.9 * N) tokens."""
    train_share = round(1 - validation_fraction - test_fraction, 9)  # 0.9, not 0.8999999999999999
    first = int(max(train_share, 0.0) * len(whole))
    second = int(round(1 - test_fraction, 9) * len(whole)) if test_fraction else len(whole)
    splits = {"train": whole[:first], "val": whole[first:second], "test": whole[second:]}
    if not test_fraction:
        splits["test"] = splits["val"]
    return splits


def _split_by_files(text: TokenFile) -> dict[str, np.ndarray]:
    """Cut between the files of different splits, which follow one another in the order of SPLITS."""
    counts = dict.fromkeys(SPLITS, 0)
    for file, size in zip(text.texts.files, text.sizes, strict=True):
        counts[str(file.split)] += size
    bounds = np.cumsum(list(counts.values()))
    return dict(zip(SPLITS, np.split(text.tokens, bounds[:-1]), strict=True))
