"""Test that all random numbers of a run follow from its seed."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lightning_dl2 import compose, train
from lightning_dl2.data.build import build_data
from lightning_dl2.resume.exact_resume import ExactResume, step_seed
from lightning_dl2.tasks import SequenceClassifier
from tests.conftest import TINY, TINY_GRAPH, TINY_GRAPHS, TINY_TEXT

SEEDS = (0, 0, 1)


@pytest.fixture
def begun(tmp_path, book, monkeypatch):
    """Return `begun(seed, *words)`: the objects with which a run of this seed would begin to train."""
    monkeypatch.setattr(
        "lightning_dl2.training.fit.fit", lambda session, data, task: ({}, {"task": task, "data": data})
    )

    def objects(seed, *words):
        text = (f"data.path={book}", f"data.cache_dir={book.parent}") if words[0] == "experiment=text" else ()
        return train(compose(*words, *text, f"seed={seed}", f"root={tmp_path}"))[1]

    return objects


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [TINY, TINY_TEXT, TINY_GRAPH, TINY_GRAPHS], ids=["sequences", "text", "nodes", "graphs"]
)
def test_initial_weights(begun, words):
    weights = []
    for seed in SEEDS:
        torch.manual_seed(17)  # earlier draws must not matter
        parameters = dict(begun(seed, *words)["task"].named_parameters())
        weights.append(torch.cat([p.flatten() for name, p in parameters.items() if "weight" in name and p.dim() > 1]))
    assert torch.equal(weights[0], weights[1])
    assert (weights[0] != weights[2]).float().mean() > 0.9


DRAWN = {  # random numbers that a training batch draws
    "sequences": (TINY, lambda data: data.train_batch(3)[0]),
    "lengths": (
        (*TINY, "data.sequence_length=40", "data.curriculum={enabled:true,start:4,shortest:0.1}"),
        lambda data: lengths(data),  # defined below
    ),
    "text": (TINY_TEXT, lambda data: data.train_batch(3)[0]),
    "split": ((*TINY_GRAPH, "data.split=random"), lambda data: data.splits["train"]),
    "nodes": (  # nodes by their position in the split
        (*TINY_GRAPH, "data.fanouts=[3,3]"),
        lambda data: torch.tensor([data.splits["train"].tolist().index(i) for i in data.train_batch(0).ids.tolist()]),
    ),
    "neighbours": (
        (*TINY_GRAPH, "data.fanouts=[2,2]", "data.batch_size=24"),
        lambda data: torch.cat([data.sampler.sample(torch.arange(24), drawn_with(data))[0].src, torch.zeros(1)]),
    ),
    "graphs": (TINY_GRAPHS, lambda data: data.train_batch(0).ids),
}


def lengths(data):
    """Return the lengths of 20 batches late in the curriculum."""
    data.curriculum.length = 40
    return torch.tensor([data.train_batch(step)[0].shape[1] for step in range(20)])


def drawn_with(data):
    """Return the seed of the neighbours of batch 0."""
    seeds, sample = [], data.sampler.sample
    data.sampler.sample = lambda nodes, seed: seeds.append(seed) or sample(nodes, seed)
    data.train_batch(0)
    del data.sampler.sample
    return seeds[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_what_is_trained_on(begun, name):
    words, drawn = DRAWN[name]
    found = [drawn(begun(seed, *words)["data"]) for seed in SEEDS]
    assert torch.equal(found[0], found[1])
    assert found[0].shape != found[2].shape or not torch.equal(found[0], found[2])


def test_what_is_tested_on_is_the_same_for_every_seed(tiny):
    modules = [build_data(tiny().data, seed) for seed in (0, 1)]
    for data in modules:
        data.setup("test")
    assert all(map(torch.equal, *(data.sets["test"] for data in modules)))


@pytest.mark.slow
def test_dropout(tiny, monkeypatch):
    """A run's steps draw from streams of its own seed."""
    seen, step = [], SequenceClassifier.training_step
    monkeypatch.setattr(
        SequenceClassifier, "training_step", lambda *args: (seen.append(torch.initial_seed()), step(*args))[1]
    )
    for seed in SEEDS:
        train(tiny(f"seed={seed}", "trainer.max_steps=2", "resume=restart"))
    assert seen == [step_seed(seed, number, 0) for seed in SEEDS for number in (0, 1)]
    assert len(set(seen)) == 4


def test_dropout_of_two_ranks():
    """Two ranks draw from different streams at one step."""
    loop = SimpleNamespace(batch_progress=SimpleNamespace(total=SimpleNamespace(processed=5)))
    module, seeds = SimpleNamespace(device=torch.device("cpu"), automatic_optimization=True), []
    for rank in (0, 1):
        trainer = SimpleNamespace(fit_loop=SimpleNamespace(epoch_loop=loop), global_step=5, global_rank=rank)
        ExactResume(0).on_train_batch_start(trainer, module, None, 0)
        seeds.append(torch.initial_seed())
    assert seeds[0] != seeds[1] and np.array_equal(seeds, [step_seed(0, 5, rank) for rank in (0, 1)])
