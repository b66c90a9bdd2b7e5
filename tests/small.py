"""Build small data, tasks and Trainers without a configuration or a run directory."""

import importlib.util
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from lightning_dl2 import (
    GraphNet,
    GraphSetDataModule,
    NodeDataModule,
    SequenceClassifier,
    SequenceDataModule,
    TextDataModule,
    TextGenerator,
)

NEEDS_DGL = pytest.mark.skipif(importlib.util.find_spec("dgl") is None, reason="dgl is not installed")


def signalled(monkeypatch, owner, method, number, step=10):
    """Send the signal `number` to this process within `owner.method` of batch `step`."""
    original = getattr(owner, method)

    def sends(self, *args):
        if self.trainer.global_step == step:
            os.kill(os.getpid(), number)
        return original(self, *args)

    monkeypatch.setattr(owner, method, sends)


def small_data(name: str = "decimal_palindrome", length: int = 6, batch_size: int = 8, **options: Any):
    sizes = {"batches_per_epoch": 7, "validation_size": 32, "test_size": 32, "evaluation_batch_size": 16}
    return SequenceDataModule(name, length, batch_size, **sizes | options)


def small_task(data: SequenceDataModule, seed: int = 0, **options: Any) -> SequenceClassifier:
    pl.seed_everything(seed, verbose=False)
    return SequenceClassifier(spec=data.spec, **{"cell": "gru", "hidden_size": 8} | options)


def small_text(path: Path, text: str | None = None, **options: Any) -> TextDataModule:
    """Return a data module of the text in `path`, or of `text` written there first; its tokens lie beside it."""
    if text is not None:
        path.write_text(text, encoding="utf-8")
    sizes = {"sequence_length": 8, "batch_size": 4, "evaluation_batch_size": 3, "cold_window": 16}
    return TextDataModule("text", str(path), cache_dir=str(path.parent), **sizes | {"evaluation_warmup": 16} | options)


def small_writer(data: TextDataModule, seed: int = 0, **options: Any) -> TextGenerator:
    pl.seed_everything(seed, verbose=False)
    return TextGenerator(spec=data.spec, **{"cell": "lstm", "hidden_size": 8} | options)


def small_graph(name: str = "sbm", **options: Any) -> NodeDataModule:
    """Return a graph of 90 nodes in three classes: 24 to train on, 30 to validate and 36 to test on."""
    sizes = {"split": "random", "train_per_class": 8, "validation_size": 30, "batch_size": 5}
    return NodeDataModule(name, **{"block_model": BLOCK_MODEL} | sizes | options)


def small_graph_set(name: str = "minigc", **options: Any) -> GraphSetDataModule:
    """Return 48 graphs in eight classes: 27 to train on, 9 to validate and 12 to test on."""
    sizes = {"num_graphs": 48, "min_nodes": 6, "max_nodes": 9, "num_folds": 4, "validation_fraction": 0.25}
    return GraphSetDataModule(name, **sizes | {"batch_size": 8, "evaluation_batch_size": 5} | options)


def write_molecules(path: Path, sizes: tuple[int, ...] = (10, 5, 7)) -> Path:
    """Write a ZINC .npz of chains of atoms; the number of each molecule follows from its atoms."""
    rng, arrays = np.random.default_rng(0), {"atom_names": np.array(["C", "N", "O"])}
    for split, size in zip(("train", "val", "test"), sizes, strict=True):
        atoms = rng.integers(1, 6, size)
        kinds = rng.integers(0, 3, atoms.sum())
        bonds = np.concatenate([np.arange(count - 1) for count in atoms])
        values = {
            "num_nodes": atoms,
            "num_bonds": atoms - 1,
            "atom": kinds,
            "src": bonds,
            "dst": bonds + 1,
            "bond": rng.integers(1, 4, len(bonds)),
            "y": np.array([part.mean() for part in np.split(kinds, atoms.cumsum()[:-1])], np.float32),
        }
        arrays |= {
            f"{split}_{name}": value.astype(np.float32 if name == "y" else np.uint8) for name, value in values.items()
        }
    np.savez(path, **arrays)
    return path


def small_targets(kind: str, **options: Any) -> NodeDataModule:
    """Return a graph of 90 nodes with two numbers or labels, some unknown: 29 train, 29 validate and 27 test."""
    nodes = small_graph().set
    x = nodes.features
    numbers = torch.stack([1000 + 50 * x[:, 0], x[:, 1] - x[:, 0]], 1)
    labels = numbers if kind == "regression" else (numbers > torch.tensor([1000.0, 0.0])).float()
    labels[::4, 0], labels[3::5, 1] = torch.nan, torch.nan
    whole = replace(nodes, labels=labels, class_names=[], target=kind, target_names=["income", "age"])
    return NodeDataModule(whole, split="random", split_sizes=[29, 29, 27], **options)


def write_graph(directory: Path, edges: list[tuple[int, int]], labels: str, splits: str | None = None) -> Path:
    """Write nodes.csv and edges.csv with a node for each letter of `labels`; ? is an unknown label.

    A node's only feature is its number. `splits` has t (train), v (validation) or e (test) for each node.
    """
    names = {"t": "train", "v": "val", "e": "test", "-": ""}
    nodes = [f"n{number},{'' if label == '?' else label},{number}" for number, label in enumerate(labels)]
    if splits is not None:
        nodes = [f"{row},{names[split]}" for row, split in zip(nodes, splits, strict=True)]
    header = "id,label,x" + ("" if splits is None else ",split")
    directory.mkdir(exist_ok=True)
    (directory / "nodes.csv").write_text("\n".join([header, *nodes]) + "\n")
    (directory / "edges.csv").write_text("src,dst\n" + "".join(f"n{src},n{dst}\n" for src, dst in edges))
    return directory


def small_graph_net(data: NodeDataModule | GraphSetDataModule, seed: int = 0, **options: Any) -> GraphNet:
    """Return a GCN for nodes, or a GIN for graphs."""
    pl.seed_everything(seed, verbose=False)
    net = {"layer": "gcn"} if data.level == "node" else {"layer": "gin", "output_layer": "linear", "input_layer": True}
    return GraphNet(spec=data.spec, **{"hidden_size": 8} | net | options)


def small_trainer(**options: Any) -> pl.Trainer:
    saves = any(isinstance(callback, Checkpoint) for callback in options.get("callbacks", ()))
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": saves}
    small = {"accelerator": "cpu", "logger": False, "num_sanity_val_steps": 0, "max_steps": 6}
    return pl.Trainer(**quiet | small | options)


BLOCK_MODEL = {
    "num_nodes": 90,
    "num_classes": 3,
    "average_degree": 5.0,
    "homophily": 0.8,
    "num_feats": 4,
    "signal": 1.0,
}

CURRICULUM = {
    "enabled": True,
    "start": 2,
    "growth": 1.5,
    "threshold": 0.9,
    "smoothing": 0.5,
    "shortest": 1.0,
    "tokens_per_batch": None,
    "minimum_batch_size": 4,
}


class Scripted(SequenceClassifier):
    """A task with scripted accuracies, {step: accuracy}, and loss 1 - accuracy, to test callbacks."""

    script: dict[int, float] = {}

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        accuracy = self.script[self.global_step]
        self.log_dict({"val/accuracy": accuracy, "val/loss": 1 - accuracy}, batch_size=1)


def fit_scripted(values: list[float], *callbacks: pl.Callback, resume: Any = None, **options: Any) -> pl.Trainer:
    """Train 2 steps for each validation accuracy in `values`, after a sanity check with accuracy 1.0."""
    data = small_data()
    pl.seed_everything(0, verbose=False)
    task = Scripted(spec=data.spec, cell="gru", hidden_size=8)
    task.script = {0: 1.0, **{2 * number: value for number, value in enumerate(values, start=1)}}
    trainer = small_trainer(
        **{"max_steps": 2 * len(values), "num_sanity_val_steps": 1} | options,
        val_check_interval=2,
        check_val_every_n_epoch=None,
        callbacks=list(callbacks),
    )
    trainer.fit(task, data, ckpt_path=resume, weights_only=True)
    return trainer
