"""Test that the CPU settings of a run hold in every computing thread and are restored afterwards."""

import sys
from types import SimpleNamespace

import pytest
import torch

from lightning_dl2 import compose, train
from lightning_dl2.common import arithmetic
from lightning_dl2.data.build import build_data
from lightning_dl2.tasks.build import build_task
from lightning_dl2.tasks.sequence_classifier import SequenceClassifier
from tests.conftest import TINY


def kept(numbers: torch.Tensor) -> float:
    """Return the share of subnormal numbers that a multiplication by 1 keeps."""
    return ((numbers * 1).view(torch.int32) != 0).double().mean().item()


@pytest.fixture
def numbers():
    """Return enough subnormal numbers for two threads, both of which have computed before."""
    torch.set_num_threads(2)
    numbers = torch.full((1 << 20,), 1e-40)
    assert kept(numbers) == 1
    yield numbers
    arithmetic.set_flush_denormal(False)
    torch.set_num_threads(1)


@pytest.mark.slow
def test_subnormal_numbers_are_zero_in_all_threads_and_then_as_before(numbers):
    trainer = compose(*TINY, "trainer.num_threads=2").trainer
    with arithmetic.configured(trainer):
        assert kept(numbers) == 0 and arithmetic.flushes_denormal()
        with arithmetic.configured(trainer.model_copy(update={"flush_denormal": False})):
            assert kept(numbers) == 1 and not arithmetic.flushes_denormal()
        assert kept(numbers) == 0
    assert kept(numbers) == 1


@pytest.mark.slow
def test_more_threads_than_before(numbers):
    torch.set_num_threads(1)
    with arithmetic.configured(compose(*TINY, "trainer.num_threads=2").trainer):
        assert kept(numbers) == 0
    assert torch.get_num_threads() == 1
    torch.set_num_threads(2)
    assert kept(numbers) == 1


def test_given_back_after_an_error():
    with pytest.raises(ValueError, match="lost"), arithmetic.configured(compose(*TINY).trainer):
        assert arithmetic.flushes_denormal()
        raise ValueError("lost")
    assert not arithmetic.flushes_denormal()


@pytest.mark.slow
@pytest.mark.parametrize("flush", [True, False])
def test_training(flush, tmp_path, monkeypatch):
    seen, start = [], SequenceClassifier.on_train_start
    monkeypatch.setattr(
        SequenceClassifier, "on_train_start", lambda self: (seen.append(arithmetic.flushes_denormal()), start(self))
    )
    train(compose(*TINY, f"root={tmp_path}", "trainer.max_steps=5", f"trainer.flush_denormal={str(flush).lower()}"))
    assert seen == [flush] and not arithmetic.flushes_denormal()


@pytest.mark.slow
def test_a_gradient_that_vanishes_ends_in_subnormal_numbers_that_nothing_needs():
    """In an RNN with the course's settings, gradients are subnormal some 70 steps before the loss."""
    torch.manual_seed(0)
    config = compose("experiment=course/palindrome", "data.sequence_length=151", "task.cell=rnn")
    data = build_data(config.data, 0)
    net = build_task(config.task, config.optimizer, data.spec).net
    tokens, labels = data.train_batch(0)

    def gradients() -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return the gradients in h at each step and in the weights."""
        logits, trace = net.explicit(tokens)
        loss, hs = torch.nn.functional.cross_entropy(logits, labels), trace[0][0]["h"]
        both = torch.autograd.grad(loss, [*hs, *net.parameters()])
        return list(both[: len(hs)]), list(both[len(hs) :])

    def subnormal(grad: torch.Tensor) -> bool:
        bits = grad.view(torch.int32) & 0x7FFFFFFF  # compares bits, because values may compare as zero
        return bool(((bits > 0) & (bits < 0x00800000)).any())

    in_h, in_weights = gradients()
    begins = max(t for t, grad in enumerate(in_h) if subnormal(grad))
    assert 50 < begins < 110
    with arithmetic.configured(config.trainer):
        flushed_h, flushed_weights = gradients()
    assert not any(map(subnormal, flushed_h)) and not flushed_h[0].any()
    torch.testing.assert_close(flushed_weights, in_weights, rtol=1e-6, atol=0)


@pytest.mark.slow
def test_the_weights_are_the_same_to_the_last_bit(tmp_path):
    words = ("experiment=course/palindrome", "data.sequence_length=151", "task.cell=rnn", "trainer.max_steps=5",
             "data.validation_size=8", "data.test_size=8", "trainer.num_threads=1")  # fmt: skip
    runs = []
    for flush in ("true", "false"):
        config = compose(*words, f"trainer.flush_denormal={flush}", f"root={tmp_path}/{flush}")
        runs.append(train(config)[1]["run"])
    states = [torch.load(run.last, weights_only=True) for run in runs]
    for part in ("state_dict", "optimizer_states"):
        torch.testing.assert_close(*[state[part] for state in states], rtol=0, atol=0)
    assert (
        runs[0].path.name == runs[1].path.name and runs[0].metrics_file.read_text() == runs[1].metrics_file.read_text()
    )


def test_dgl_has_as_many_threads(monkeypatch):
    """DGL uses the same number of threads, although it may have its own OpenMP."""
    asked, before = [], torch.get_num_threads()
    monkeypatch.setitem(sys.modules, "dgl", SimpleNamespace(utils=SimpleNamespace(set_num_threads=asked.append)))
    with arithmetic.configured(compose(*TINY, "trainer.num_threads=2").trainer):
        assert asked == [2]
    assert asked == [2, before]


@pytest.mark.parametrize(("precision", "tf32"), [("highest", False), ("high", True), ("medium", True)])
def test_one_key_decides_on_float32_products_and_cudnn(precision, tf32):
    def now():
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    before = now()
    with arithmetic.configured(compose(f"trainer.float32_matmul_precision={precision}").trainer):
        assert now() == (precision, tf32)
    assert now() == before
