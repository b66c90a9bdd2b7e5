"""Test that two DDP processes equal one process with the doubled batch in weights, metrics, curriculum and stops."""

import json
import os
import signal
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning import Callback

from lightning_dl2 import LinkDataModule
from lightning_dl2.callbacks import LengthCurriculum
from lightning_dl2.resume.exact_resume import ExactResume
from lightning_dl2.resume.keep_checkpoints import KeepCheckpoints
from lightning_dl2.resume.preemption import Interrupted, Preemption
from tests.distributed.ranks import free_port
from tests.processes import ForkedProcess, redirect
from tests.small import (
    BLOCK_MODEL,
    CURRICULUM,
    small_data,
    small_graph,
    small_graph_net,
    small_graph_set,
    small_targets,
    small_task,
    small_text,
    small_trainer,
    small_writer,
)

pytestmark = pytest.mark.slow

SIZE = 17  # the ranks get 9 and 8 sequences, in batches of 4
RULE = CURRICULUM | {"threshold": 0.05, "smoothing": 0.9}
STEPS = 8


class Interrupt(Callback):
    """Signal rank 1 alone, in the middle of a step or of a validation."""

    def __init__(self, hook: str, step: int) -> None:
        self.step = step
        setattr(self, hook, self.kill)

    def kill(self, trainer, *_):
        if trainer.global_step == self.step and trainer.global_rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def fit(batch_size: int, **options) -> tuple[pl.Trainer, dict]:
    """Train and return the result as plain values."""
    data = small_data(
        length=9, batch_size=batch_size, curriculum=RULE, validation_size=SIZE, test_size=SIZE, evaluation_batch_size=4
    )
    task = small_task(data, optimizer={"name": "SGD", "learning_rate": 0.5})
    trainer = small_trainer(max_steps=STEPS, gradient_clip_val=0.3, callbacks=[LengthCurriculum()], **options)
    trainer.fit(task, data)
    metrics = {key: value.item() for key, value in trainer.callback_metrics.items() if key.startswith("val/")}
    metrics |= trainer.test(task, data, verbose=False)[0]
    weights = {name: value.tolist() for name, value in task.state_dict().items()}
    return trainer, {"weights": weights, "metrics": metrics, "curriculum": data.curriculum.state_dict()}


def interrupted(directory: Path, *moment, **options) -> dict:
    keep, data = KeepCheckpoints(directory, every_n_steps=100, monitor="val/accuracy", mode="max"), small_data()
    trainer = small_trainer(max_steps=100, callbacks=[Interrupt(*moment), keep, Preemption(keep, None)], **options)
    try:
        trainer.fit(small_task(data), data)
    except Interrupted as error:
        return {"message": str(error), "exit_code": error.exit_code}
    return {"message": "not interrupted"}


def write(book: Path, batch_size: int, directory: Path | None = None, **options) -> dict:
    """Train a text generator, without a stop or with one in between."""
    stops, start = ((5, STEPS), None) if directory else ((STEPS,), None)
    for steps in stops:
        data = small_text(book, batch_size=batch_size, evaluation_batch_size=5)
        task = small_writer(data, optimizer={"name": "SGD", "learning_rate": 0.5})
        trainer = small_trainer(max_steps=steps, callbacks=[ExactResume(0)], **options)
        trainer.fit(task, data, ckpt_path=start, weights_only=True)
        if directory:
            start = directory / f"{steps}.ckpt"
            trainer.save_checkpoint(start)
    (metrics,) = trainer.test(task, data, verbose=False)
    weights = {name: value.tolist() for name, value in task.state_dict().items()}
    return {"metrics": metrics, "weights": weights, "state": [part.tolist() for part in task.state]}


# Training items: 21 nodes; 28 graphs of eight uneven classes; 29 nodes with gaps in two targets; nodes of 16 graphs;
# links of 90 nodes, with as many negatives.
GRAPHS = {
    "nodes": lambda size: (small_graph(train_per_class=7), {}),
    "graphs": lambda size: (
        small_graph_set(num_graphs=50, batch_size=size),
        {"class_weights": "balanced", "extra_metrics": ["auc"]},
    ),
    "numbers": lambda size: (small_targets("regression"), {"extra_metrics": ["r2"], "metrics_by_target": True}),
    "labels": lambda size: (small_targets("multilabel"), {"extra_metrics": ["auc", "average_precision", "micro_f1"]}),
    "pattern": lambda size: (
        small_graph_set("pattern", num_graphs=23, max_nodes=6, batch_size=size, evaluation_batch_size=2),
        {"layer": "gatedgcn"},
    ),
    "links": lambda size: (LinkDataModule("sbm", block_model=BLOCK_MODEL, batch_size=15 * size), {"decoder": "mlp"}),
}


def fit_graphs(name: str, batch_size: int, **options) -> dict:
    data, net = GRAPHS[name](batch_size)
    task, asked = small_graph_net(data, optimizer={"name": "SGD", "learning_rate": 0.1}, **net), []
    if name == "links":
        step = task.training_step
        task.training_step = lambda batch, batch_idx: asked.append(batch.index.tolist()) or step(batch, batch_idx)
    options |= {"check_val_every_n_epoch": 1, "log_every_n_steps": STEPS}
    trainer = small_trainer(max_steps=STEPS, gradient_clip_val=0.3, **options)
    trainer.fit(task, data)
    found = trainer.callback_metrics
    metrics = {key: value.item() for key, value in found.items() if key.startswith("val/") or key == "train/loss"}
    metrics |= trainer.test(task, data, verbose=False)[0]
    weights = {name: value.tolist() for name, value in task.state_dict().items()}
    return {"weights": weights, "metrics": metrics, "asked": asked}


def fit_sampled(**options) -> tuple[list[list[int]], dict]:
    """Train two epochs; return the nodes of each step and the result."""
    data, seen = small_graph(train_per_class=7, batch_size=4, fanouts=[3, 3]), []
    task = small_graph_net(data, layer="sage")
    step = task.training_step
    task.training_step = lambda batch, batch_idx: seen.append(batch.ids.tolist()) or step(batch, batch_idx)
    trainer = small_trainer(max_steps=-1, max_epochs=2, **options)
    trainer.fit(task, data)
    (metrics,) = trainer.test(task, data, verbose=False)
    return seen, {"weights": {name: value.tolist() for name, value in task.state_dict().items()}, "metrics": metrics}


def bad_loss(**options) -> dict:
    """Train with a non-finite loss on rank 1 alone."""
    data = small_data()
    task = small_task(data)
    good = task.training_step

    def training_step(batch, batch_idx):
        outputs = good(batch, batch_idx)
        bad = float("nan") if (task.global_rank, task.global_step) == (1, 3) else 0.0
        return outputs | {"loss": outputs["loss"] + torch.tensor(bad)}

    task.training_step = training_step
    try:
        small_trainer(**options).fit(task, data)
    except RuntimeError as error:
        return {"error": f"{type(error).__name__}: {error}", "step": task.global_step}
    return {"error": "none"}


def _rank(out: Path, book: Path, rank: int, port: int) -> None:
    redirect(out / str(rank))
    variables = {"LOCAL_RANK": rank, "NODE_RANK": 0, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {key: str(value) for key, value in variables.items()}
    two = {"devices": 2, "strategy": "ddp", "use_distributed_sampler": False}
    trainer, found = fit(8, **two)
    found["interrupted"] = interrupted(out, "on_before_backward", 3, **two)
    found["in_validation"] = interrupted(out / "val", "on_validation_start", 7, **two)
    found["text"] = write(book, 2, **two)
    found["resumed_text"] = write(book, 2, out, **two)
    found["graphs"] = {name: fit_graphs(name, 2, **two) for name in GRAPHS}
    found["seen"], found["sampled"] = fit_sampled(**two)
    found["bad_loss"] = bad_loss(**two)
    (out / f"{trainer.global_rank}.json").write_text(json.dumps(found))


@pytest.fixture(scope="module")
def ranks(tmp_path_factory, book):
    out = tmp_path_factory.mktemp("ranks")
    port, processes = free_port(), []
    for rank in (0, 1):
        (out / str(rank)).mkdir()
        processes.append(ForkedProcess(target=_rank, args=(out, book, rank, port)))
        processes[-1].start()
    for rank, process in enumerate(processes):
        process.join(300)
        assert process.exitcode == 0, (out / str(rank) / "stderr").read_text()[-3000:]
    return [json.loads((out / f"{rank}.json").read_text()) for rank in (0, 1)], out


def test_all_ranks_agree(ranks):
    (first, second), _ = ranks
    own = {"seen": None}  # ranks differ in their nodes and in the states of their streams
    for name in ("text", "resumed_text"):
        assert first[name]["state"] != second[name]["state"]
        own[name] = {**first[name], "state": None}
        assert own[name] == {**second[name], "state": None}
    own["graphs"] = {name: {**found, "asked": None} for name, found in first["graphs"].items()}
    assert own["graphs"] == {name: {**found, "asked": None} for name, found in second["graphs"].items()}
    assert {**first, **own} == {**second, **own}


def test_two_ranks_are_one_process_with_the_doubled_batch(ranks):
    ((found, _), _), (_, one) = ranks, fit(16)
    assert found["curriculum"] == pytest.approx(one["curriculum"])
    assert found["curriculum"]["length"] > RULE["start"]
    for name, value in one["weights"].items():
        torch.testing.assert_close(torch.tensor(found["weights"][name]), torch.tensor(value), msg=name)


def test_two_ranks_write_as_one_process_with_the_doubled_batch(ranks, book):
    ((found, _), _), one = ranks, write(book, 4)
    for name, value in one["weights"].items():
        torch.testing.assert_close(torch.tensor(found["text"]["weights"][name]), torch.tensor(value), msg=name)
    assert found["text"]["metrics"] == pytest.approx(one["metrics"], rel=1e-3)


def test_a_resumed_text_equals_the_uninterrupted_on_two_ranks(ranks):
    (found, _), _ = ranks
    assert found["resumed_text"] == found["text"]


def test_metrics_are_those_of_every_sequence_once(ranks):
    ((found, _), _), (_, one) = ranks, fit(16)
    assert set(found["metrics"]) > {"val/loss", "val/accuracy", "test/loss", "test/accuracy"}
    assert found["metrics"] == pytest.approx(one["metrics"], rel=1e-4)
    assert found["metrics"]["test/accuracy"] * SIZE == pytest.approx(round(found["metrics"]["test/accuracy"] * SIZE))


@pytest.mark.parametrize("name", GRAPHS)
def test_two_ranks_learn_graphs_as_one_process_with_the_doubled_batch(ranks, name):
    """Weights and metrics count each item once, however unevenly the ranks share the items."""
    ((found, second), _), one = ranks, fit_graphs(name, 4)
    for key, value in one["weights"].items():
        torch.testing.assert_close(torch.tensor(found["graphs"][name]["weights"][key]), torch.tensor(value), msg=key)
    assert found["graphs"][name]["metrics"] == pytest.approx(one["metrics"], rel=1e-4)
    baseline = "test/counts_baseline" if name == "graphs" else "test/no_graph_baseline"
    measures = {"numbers": {"test/r2", "test/r2_of_age"}, "labels": {"test/auc"}, "links": {"test/mrr"}}
    measures = measures.get(name, {"test/macro_accuracy"})
    shares = zip(*(each["graphs"][name]["asked"] for each in (found, second)), one["asked"], strict=True)
    for mine, others, all_pairs in shares:  # links and negatives of a step, each on one rank
        assert mine and others and sorted(mine + others) == sorted(all_pairs)
    assert {"train/loss", "val/loss", baseline, *measures} < set(one["metrics"])


def test_two_ranks_sample_around_every_node_once_an_epoch(ranks):
    """The ranks sample around 11 and 10 nodes in equally many steps, and agree in their metrics."""
    (first, second), _ = ranks
    nodes = small_graph(train_per_class=7).splits["train"].tolist()
    assert [len(found["seen"]) for found in (first, second)] == [6, 6]
    for epoch in (slice(0, 3), slice(3, 6)):
        shares = [sum(found["seen"][epoch], []) for found in (first, second)]
        assert sorted(shares[0] + shares[1]) == nodes
    assert first["seen"][:3] != first["seen"][3:]
    correct = first["sampled"]["metrics"]["test/accuracy"] * (90 - 21 - 30)
    assert correct == pytest.approx(round(correct), abs=1e-4)


def test_one_rank_is_signalled_and_all_stop_together(ranks):
    (first, second), out = ranks
    assert first["interrupted"] == second["interrupted"] == {"message": "SIGTERM at step 4", "exit_code": 143}
    assert torch.load(out / "last.ckpt", weights_only=True)["global_step"] == 4
    assert first["in_validation"] == second["in_validation"]
    assert first["in_validation"]["message"].startswith("SIGTERM at step 7, within the validation")
    assert torch.load(out / "val" / "last.ckpt", weights_only=True)["global_step"] == 6


def test_a_bad_loss_of_one_process_stops_all_at_the_same_step(ranks):
    (first, second), _ = ranks
    assert first["bad_loss"] == second["bad_loss"] and first["bad_loss"]["step"] == 3
    assert first["bad_loss"]["error"].startswith(
        "NonFiniteError: step 4, batch 3: loss nan on rank 1, gradient norm nan"
    )
