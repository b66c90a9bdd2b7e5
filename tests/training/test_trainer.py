"""Test what Lightning's Trainer gets from a configuration."""

import pytest
import torch

from lightning_dl2.callbacks import Curves, LengthCurriculum, StopWhenSolved
from lightning_dl2.loggers.metrics_csv import MetricsCSV
from lightning_dl2.loggers.tensorboard import TensorBoard
from lightning_dl2.resume.exact_resume import ExactResume
from lightning_dl2.resume.keep_checkpoints import KeepCheckpoints
from lightning_dl2.run.directory import Run
from lightning_dl2.training.session import Session
from lightning_dl2.training.trainer import build_evaluator, build_trainer, build_watch
from tests.own_parts import Counter, Lines


def trainer_of(config):
    session = Session.open(config)
    session.run.path.mkdir(parents=True, exist_ok=True)
    return build_trainer(session, build_watch(session))


@pytest.mark.parametrize(
    ("word", "attribute", "value"),
    [
        ("trainer.max_steps=7", "max_steps", 7),
        ("trainer.max_epochs=7", "max_epochs", 7),
        ("trainer.val_check_interval=3", "val_check_interval", 3),
        ("trainer.log_every_n_steps=3", "log_every_n_steps", 3),
        ("trainer.gradient_clip_val=0.5", "gradient_clip_val", 0.5),
        ("trainer.accumulate_grad_batches=2", "accumulate_grad_batches", 2),
        ("trainer.limit_train_batches=2", "limit_train_batches", 2),
        ("trainer.limit_val_batches=2", "limit_val_batches", 2),
        ("trainer.limit_test_batches=2", "limit_test_batches", 2),
        ("trainer.overfit_batches=1", "overfit_batches", 1),
        ("trainer.overfit_batches=1", "limit_val_batches", 1.0),
        ("trainer.overfit_batches=1 trainer.limit_val_batches=2", "limit_val_batches", 2),
        ("trainer.precision=64", "precision", "64-true"),
    ],
)
def test_keys_arrive(tiny, word, attribute, value):
    found = getattr(trainer_of(tiny(*word.split())), attribute)
    assert (found, type(found)) == (value, type(value))  # 1 is one batch, 1.0 all of them


def test_callbacks_are_those_asked_for(tiny):
    def kinds(*words):
        return [type(callback) for callback in trainer_of(tiny(*words)).callbacks]

    assert StopWhenSolved in kinds() and StopWhenSolved not in kinds("callbacks.solved.enabled=false")
    assert Curves not in kinds() and Curves in kinds("callbacks.curves=true")
    assert LengthCurriculum not in kinds()
    assert LengthCurriculum in kinds("data.curriculum.enabled=true", "data.curriculum.start=2")


@pytest.mark.slow
def test_callbacks_and_loggers_of_the_users_own_come_after_the_packages(tiny, tmp_path):
    counter = "+callbacks.counter={_target_:tests.own_parts.Counter,name:mine}"
    lines = f"+logger.lines={{_target_:tests.own_parts.Lines,path:{tmp_path}/a}}"
    trainer = trainer_of(tiny(counter, lines, "callbacks.curves=true", "logger=[tensorboard,csv]"))
    kinds = [type(callback) for callback in trainer.callbacks]
    assert kinds.index(Curves) < kinds.index(Counter) < kinds.index(ExactResume)
    assert [type(logger) for logger in trainer.loggers] == [MetricsCSV, TensorBoard, Lines]
    switched_off = trainer_of(tiny(counter, "callbacks.counter=null"))
    assert Counter not in [type(callback) for callback in switched_off.callbacks]


def test_exact_resume_comes_last(tiny):
    """A step draws from its own seed, whatever callbacks do before it."""
    *_, before, saves = trainer_of(tiny("callbacks.curves=true")).callbacks
    assert isinstance(before, ExactResume) and isinstance(saves, KeepCheckpoints)  # draws no random numbers


def test_half_precision_of_a_gpu_becomes_single_on_a_cpu_and_says_so(tiny, tmp_path, capsys):
    config = tiny()
    half = config.model_copy(update={"trainer": config.trainer.model_copy(update={"precision": "16-mixed"})})
    assert build_evaluator(half, Run(tmp_path)).precision == "32-true"
    assert capsys.readouterr().err == "note: trainer.precision=16-mixed needs a GPU; evaluated with 32 here\n"


@pytest.mark.slow
def test_evaluator_is_one_silent_process(tiny, tmp_path):
    trainer = build_evaluator(tiny("trainer=ddp_cpu", "trainer.num_nodes=2", "logger=tensorboard"), Run(tmp_path))
    assert (trainer.world_size, trainer.loggers, trainer.checkpoint_callback) == (1, [], None)


@pytest.mark.parametrize("word", ["true", "false"])
def test_determinism_is_as_asked_for(tiny, word):
    before = torch.are_deterministic_algorithms_enabled()
    try:
        trainer_of(tiny(f"trainer.deterministic={word}"))
        assert torch.are_deterministic_algorithms_enabled() == (word == "true")
    finally:
        torch.use_deterministic_algorithms(before)
