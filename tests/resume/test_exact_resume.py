"""Test that a resumed run equals the uninterrupted one to the last bit: weights, optimiser, counters, metrics."""

import shutil
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch

from lightning_dl2 import compose, evaluate, train
from lightning_dl2.config.schema import Config
from lightning_dl2.data import NodeDataModule, SequenceDataModule
from lightning_dl2.graphs import NeighborBlocks
from lightning_dl2.resume import exact_resume
from lightning_dl2.run.directory import Run
from tests.comparison import checkpoint_differences, metrics_differences
from tests.conftest import TINY_GRAPH

VARIANTS = {
    "plain": (),
    "accumulation": ("trainer.accumulate_grad_batches=3", "trainer.max_steps=9"),
    "plateau": ("optimizer.schedule.name=plateau", "optimizer.schedule.patience=0", "optimizer.schedule.decay=0.5"),
    "cosine": (
        "optimizer.schedule.name=cosine",
        "optimizer.schedule.total_steps=30",
        "optimizer.schedule.warmup_steps=3",
    ),
    "own": (
        "optimizer.name=tests.own_parts.Lion",
        "+optimizer.arguments.betas=[0.8,0.9]",
        "optimizer.schedule.name=torch.optim.lr_scheduler.StepLR",
        "optimizer.schedule.interval=epoch",
        "+optimizer.schedule.arguments.step_size=1",
        "trainer.gradient_clip_algorithm=value",
        "trainer.gradient_clip_val=0.01",
        "+trainer.arguments.inference_mode=false",
        "+callbacks.counter={_target_:tests.own_parts.Counter,name:mine}",
    ),
    "curriculum": ("data.curriculum.enabled=true", "data.curriculum.start=2", "data.curriculum.threshold=0.01"),
    "curriculum_rate": (
        "data.curriculum.enabled=true",
        "data.curriculum.start=2",
        "data.curriculum.threshold=0.01",
        "data.curriculum.shortest=0.5",
        "data.curriculum.full_rate_length=3",
        "data.curriculum.final_steps=9",
        "optimizer.schedule.name=cosine",
        "optimizer.schedule.total_steps=30",
    ),
    "epoch_validation": ("trainer.check_val_every_n_epoch=1", "trainer.val_check_interval=3"),
    "early_stopping": ("callbacks.early_stopping.enabled=true", "callbacks.early_stopping.patience=3"),
    "bidirectional_peephole": ("task.cell=peephole", "task.bidirectional=true"),
}


def trained_in_parts(tiny: Callable[..., Config], stops: tuple[int, ...], *words: str) -> Run:
    config = tiny(*words)
    for steps in stops:
        trainer = config.trainer.model_copy(update={"max_steps": steps})
        _, objects = train(config.model_copy(update={"trainer": trainer}))
    return objects["run"]


TEXT_VARIANTS = {
    "plain": (),
    "own_cell": (  # whose states are of two sizes
        "task.cell=tests.nets.recurrent.strangers.Attentive",
        "task.reset_probability=0.2",
        "trainer.accumulate_grad_batches=3",
        "trainer.max_steps=9",
    ),
    "averaged": (
        "callbacks.weight_averaging.enabled=true",
        "callbacks.weight_averaging.decay=0.9",
        "callbacks.weight_averaging.start_step=4",
    ),
    "regularised": (
        "task.locked_dropout=true",
        "task.weight_dropout=0.2",
        "task.layer_norm=true",
        "task.reset_probability=0.2",
        "task.focal_gamma=0.5",
        "task.tie_weights=true",
        "task.embedding_size=null",
    ),
    "peephole_bytes": (
        "callbacks.weight_noise.enabled=true",
        "task.cell=peephole",
        "task.num_layers=2",
        "task.skip_connections=true",
        "task.weight_dropout=0.2",
        "data.tokens=bytes",
    ),
    "one_cycle": (  # with a factor of scores that follows from the step
        "task.cell={_target_: lightning_dl2.nets.recurrent.cells.StackRNN, sharpness: 3, sharpening: [2, 9]}",
        "optimizer.schedule.name=torch.optim.lr_scheduler.OneCycleLR",
        "+optimizer.schedule.arguments.max_lr=0.01",
        "+optimizer.schedule.arguments.total_steps=30",
    ),
    "muon": ("optimizer=muon", "+optimizer.weight_decay_of.output=0.5"),
    "ensemble": ("optimizer=muon", "task.ensemble_size=2", "task.dropout=0.3", "task.reset_probability=0.2"),
}


@pytest.mark.slow
@pytest.mark.parametrize("words", TEXT_VARIANTS.values(), ids=TEXT_VARIANTS.keys())
def test_resumed_text_equals_uninterrupted(tiny_text, tmp_path, words):
    """A resumed text run continues with the carried state, to the last bit."""
    test_resume_equals_uninterrupted(tiny_text, tmp_path, words)
    checkpoint = torch.load(next((tmp_path / "parts").rglob("last.ckpt")), weights_only=True)
    assert all(part.abs().sum() > 0 for part in checkpoint["carried_state"])


GRAPH_VARIANTS = {
    # each step draws the signs of the encoding anew
    "whole": ("task.norm=batch", "task.input_layer=true", "data.positional={kind:laplacian,size:2}"),
    "sampled": (
        "data.fanouts=[3,3]",
        "data.evaluation_chunk=40",
        "task.layer=gatv2",
        "task.attention_dropout=0.3",
        "trainer.accumulate_grad_batches=4",
        "trainer.max_steps=9",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("words", GRAPH_VARIANTS.values(), ids=GRAPH_VARIANTS.keys())
def test_resumed_nodes_equal_uninterrupted(tiny_graph, tmp_path, words):
    """Runs on nodes resume exactly: dropout and batch norm on the whole graph, sampled neighbours across epochs."""
    test_resume_equals_uninterrupted(tiny_graph, tmp_path, words)


@pytest.mark.slow
def test_resumed_graphs_equal_uninterrupted(tiny_graphs, tmp_path):
    """Runs on graphs resume exactly, including batch norm's running statistics and averaged weights."""
    averaged = ("callbacks.weight_averaging.enabled=true", "callbacks.weight_averaging.decay=0.9")
    test_resume_equals_uninterrupted(tiny_graphs, tmp_path, ("task.layer=gatedgcn", "task.residual=true", *averaged))


@pytest.mark.slow
@pytest.mark.parametrize("words", VARIANTS.values(), ids=VARIANTS.keys())
def test_resume_equals_uninterrupted(tiny, tmp_path, words):
    config = tiny(f"root={tmp_path}/whole", *words)
    total = config.trainer.max_steps
    _, objects = train(config)
    whole = objects["run"]
    epoch_end, middle = (7, 16) if total > 16 else (3, 5)
    parts = trained_in_parts(tiny, (epoch_end, middle, total), f"root={tmp_path}/parts", *words)
    assert checkpoint_differences(whole, parts) == []
    assert metrics_differences(whole, parts) == []


@pytest.mark.slow
def test_a_validation_between_the_batches_of_a_step_stands_once(tiny, tmp_path, monkeypatch):
    """With 3 batches per step and a validation every 4, a kill after batch 5 or 17 repeats no validation."""
    words = ("trainer.accumulate_grad_batches=3", "trainer.max_steps=9", "callbacks.checkpoint.every_n_steps=1")
    words += ("data.batches_per_epoch=1000", "trainer.val_check_interval=4")
    _, objects = train(tiny(f"root={tmp_path}/whole", *words))
    draw, killed = SequenceDataModule.train_batch, []

    def dies_once(self, step):
        if step in (5, 17) and step not in killed:
            killed.append(step)
            raise RuntimeError("killed")
        return draw(self, step)

    monkeypatch.setattr(SequenceDataModule, "train_batch", dies_once)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="killed"):
            train(tiny(f"root={tmp_path}/broken", *words))
    _, resumed = train(tiny(f"root={tmp_path}/broken", *words))
    assert checkpoint_differences(objects["run"], resumed["run"]) == []
    assert metrics_differences(objects["run"], resumed["run"]) == []


WITHIN = ("trainer.accumulate_grad_batches=3", "data.batches_per_epoch=1000", "trainer.max_steps=9")


@pytest.mark.slow
def test_a_best_from_between_the_batches_of_a_step_is_not_gone_on_with(tiny, tmp_path, capsys):
    """A best.ckpt saved between the batches of a step is never resumed from."""
    words = (*WITHIN, "trainer.val_check_interval=4", "callbacks.checkpoint.every_n_steps=1")
    words += (
        "optimizer.learning_rate=10.0",
        "callbacks.checkpoint.monitor=val/accuracy",
        "callbacks.checkpoint.mode=max",
    )
    _, objects = train(tiny(f"root={tmp_path}/whole", *words))
    parts = trained_in_parts(tiny, (5,), f"root={tmp_path}/parts", *words)
    assert parts.load(parts.best)["within_step"]
    assert not parts.load(parts.last)["within_step"]
    for path in (parts.last, parts.previous):
        path.write_bytes(b"damage")
    trained_in_parts(tiny, (9,), f"root={tmp_path}/parts", *words)
    assert "starting anew" in capsys.readouterr().err
    assert checkpoint_differences(objects["run"], parts) == []
    assert metrics_differences(objects["run"], parts) == []


@pytest.mark.slow
@pytest.mark.parametrize(("interval", "times", "step"), [(2, 1, 0), (4, 1, 1), (4, 2, 2)])
def test_what_is_solved_between_the_batches_of_a_step_keeps_its_best(tiny, interval, times, step):
    rule = ("callbacks.solved.threshold=0.0", f"callbacks.solved.times={times}", "callbacks.checkpoint.every_n_steps=1")
    monitor = ("callbacks.checkpoint.monitor=val/accuracy", "callbacks.checkpoint.mode=max")
    result, objects = train(tiny(*WITHIN, f"trainer.val_check_interval={interval}", *rule, *monitor))
    assert (result["stopped_by"], result["steps"]) == ("solved", step)
    run = objects["run"]
    assert (
        run.load(run.best)["global_step"] == result["best_step"]
        and evaluate(run)["test/loss"] == result["metrics"]["test/loss"]
    )


WORKERS = {  # epochs have 7, 7, 6 and 7 batches
    "sequences": ("tiny", ("trainer.accumulate_grad_batches=3", "trainer.max_steps=9"), (2, 7)),
    "text": ("tiny_text", ("trainer.max_steps=16",), (5, 7)),
    "nodes": ("tiny_graph", ("data.fanouts=[3,3]", "task.layer=gatv2", "trainer.max_steps=16"), (6, 10)),
    "graphs": ("tiny_graphs", ("task.layer=gatedgcn", "trainer.max_steps=16"), (7, 10)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKERS)
def test_any_number_of_workers_resumes_and_equals_none(name, request, tmp_path):
    """A run that continues with two, then no, then one worker equals a run without workers."""
    fixture, words, stops = WORKERS[name]
    composed = request.getfixturevalue(fixture)
    _, objects = train(composed(f"root={tmp_path}/whole", *words))
    for num_workers, steps in zip((2, 0, 1), (*stops, objects["trainer"].max_steps), strict=True):
        parts = trained_in_parts(
            composed, (steps,), *words, f"root={tmp_path}/parts", f"data.num_workers={num_workers}"
        )
    assert checkpoint_differences(objects["run"], parts) == []
    assert metrics_differences(objects["run"], parts) == []


@pytest.mark.slow
def test_every_step_is_a_good_place_to_stop(tiny, tmp_path):
    """A run stopped after each single step equals the uninterrupted one."""
    _, objects = train(tiny(f"root={tmp_path}/whole", "trainer.max_steps=16"))
    parts = trained_in_parts(tiny, tuple(range(1, 17)), f"root={tmp_path}/parts")
    assert checkpoint_differences(objects["run"], parts) == []
    assert metrics_differences(objects["run"], parts) == []


@pytest.mark.slow
def test_last_of_a_killed_process_goes_on(tiny, tmp_path, monkeypatch):
    """A run that fails in step 10 resumes from last.ckpt of step 8, without repeated or lost rows."""
    _, objects = train(tiny(f"root={tmp_path}/whole"))
    broken = tiny(f"root={tmp_path}/broken")
    draw = SequenceDataModule.train_batch

    def dies_at_10(self, step):
        if step == 10:
            raise RuntimeError("killed")
        return draw(self, step)

    monkeypatch.setattr(SequenceDataModule, "train_batch", dies_at_10)
    with pytest.raises(RuntimeError, match="killed"):
        train(broken)
    monkeypatch.undo()
    assert Run.of(broken).result()["status"] == "failed"
    _, resumed = train(broken)
    assert checkpoint_differences(objects["run"], resumed["run"]) == []
    assert metrics_differences(objects["run"], resumed["run"]) == []


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["data", "dropout"])
def test_comparison_can_fail(tiny, tmp_path, monkeypatch, broken):
    """The negative control: a resume that loses its position or random numbers is noticed."""
    _, objects = train(tiny(f"root={tmp_path}/whole"))
    trained_in_parts(tiny, (10,), f"root={tmp_path}/parts")
    if broken == "data":
        monkeypatch.setattr("lightning_dl2.resume.train_batches.batches_done", lambda datamodule: 0)
    else:
        monkeypatch.setattr(exact_resume, "step_seed", lambda *numbers: 1)
    parts = trained_in_parts(tiny, (24,), f"root={tmp_path}/parts")
    assert any("state_dict" in place for place in checkpoint_differences(objects["run"], parts))


@pytest.mark.slow
@pytest.mark.parametrize("forgotten", ["state", "average"])
def test_comparison_of_text_can_fail(tiny_text, tmp_path, monkeypatch, forgotten):
    words = ("callbacks.weight_averaging.enabled=true",)
    _, objects = train(tiny_text(f"root={tmp_path}/whole", *words))
    trained_in_parts(tiny_text, (10,), f"root={tmp_path}/parts", *words)
    if forgotten == "state":
        monkeypatch.setattr("lightning_dl2.tasks.TextGenerator.on_load_checkpoint", lambda self, checkpoint: None)
    else:
        monkeypatch.setattr("lightning_dl2.callbacks.WeightAveraging.on_load_checkpoint", lambda *args: None)
    parts = trained_in_parts(tiny_text, (24,), f"root={tmp_path}/parts", *words)
    assert any("state_dict" in place for place in checkpoint_differences(objects["run"], parts))


SAMPLED = ("data.fanouts=[3,3]", "data.batch_size=4", "task.layer=sage", "trainer.max_steps=16")


@pytest.fixture(scope="module")
def sampled(tmp_path_factory) -> Run:
    """Return the uninterrupted run with sampled neighbours."""
    return train(compose(*TINY_GRAPH, *SAMPLED, f"root={tmp_path_factory.mktemp('sampled')}"))[1]["run"]


@pytest.mark.slow
def test_sampled_steps_are_good_places_to_stop_and_to_be_killed_at(sampled, tiny_graph, tmp_path, monkeypatch):
    """Sampled runs stopped around epoch ends, then failed in step 14 after last.ckpt of step 12, resume exactly."""
    parts = trained_in_parts(tiny_graph, (5, 6, 7, 12), f"root={tmp_path}/parts", *SAMPLED)
    draw = NodeDataModule.train_batch

    def dies_at_14(self, step):
        if step == 14:
            raise RuntimeError("killed")
        return draw(self, step)

    monkeypatch.setattr(NodeDataModule, "train_batch", dies_at_14)
    with pytest.raises(RuntimeError, match="killed"):
        train(tiny_graph(f"root={tmp_path}/parts", *SAMPLED))
    monkeypatch.undo()
    assert parts.result()["status"] == "failed"
    trained_in_parts(tiny_graph, (16,), f"root={tmp_path}/parts", *SAMPLED)
    assert checkpoint_differences(sampled, parts) == []
    assert metrics_differences(sampled, parts) == []


@pytest.mark.slow
def test_comparison_of_graphs_can_fail(sampled, tiny_graph, tmp_path, monkeypatch):
    """The negative control: a resume that loses its position, dropout or sampled neighbours is noticed."""
    trained_in_parts(tiny_graph, (10,), f"root={tmp_path}/begun", *SAMPLED)
    sample = NeighborBlocks.sample
    for broken, value in (
        ("lightning_dl2.resume.train_batches.batches_done", lambda datamodule: 0),
        ("lightning_dl2.resume.exact_resume.step_seed", lambda *numbers: 1),
        ("lightning_dl2.graphs.NeighborBlocks.sample", lambda self, nodes, seed: sample(self, nodes, 0)),
    ):
        shutil.copytree(tmp_path / "begun", tmp_path / broken)
        monkeypatch.setattr(broken, value)
        parts = trained_in_parts(tiny_graph, (16,), f"root={tmp_path}/{broken}", *SAMPLED)
        monkeypatch.undo()
        assert any("state_dict" in place for place in checkpoint_differences(sampled, parts)), broken


def test_step_seeds_differ():
    seeds = {exact_resume.step_seed(seed, step, rank) for seed in range(3) for step in range(50) for rank in range(2)}
    assert len(seeds) == 300 and all(0 <= seed < 2**63 for seed in seeds)
    first = [torch.Generator().manual_seed(exact_resume.step_seed(0, step, 0)) for step in range(20)]
    draws = [torch.rand((), generator=generator).item() for generator in first]
    assert all(a != b for a, b in pairwise(draws))
