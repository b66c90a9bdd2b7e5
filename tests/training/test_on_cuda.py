"""Test whole runs on a pretended CUDA device: training, validation, checkpoints, resume, and their use on a CPU."""

from typing import Any

import pytest
import torch

from lightning_dl2 import evaluate, generate, predict, train
from lightning_dl2.run.directory import Run
from tests.comparison import checkpoint_differences, metrics_differences
from tests.pretended_device import pretended_cuda

SHORT = (
    "trainer=gpu",
    "trainer.num_threads=1",
    "trainer.val_check_interval=2",
    "trainer.limit_val_batches=3",
    "trainer.limit_test_batches=3",
    "callbacks.checkpoint.every_n_steps=2",
    "callbacks.curves=false",
    "callbacks.progress_bar=false",
)
FLOW = ("callbacks.gradient_flow.enabled=true", "callbacks.gradient_flow.every_n_steps=2")
AVERAGE = ("callbacks.weight_averaging.enabled=true", "callbacks.weight_averaging.decay=0.5")
RUNS: dict[str, tuple[str, ...]] = {
    "tiny": (
        *AVERAGE,
        "task.cell=gru",
        "trainer.precision=16-mixed",
        "data.curriculum.enabled=true",
        "data.curriculum.start=2",
    ),
    "tiny_text": (
        *(*FLOW, "task.cell=gru", "task.num_layers=1", "optimizer.name=Muon", "data.sequence_length=4"),
        *("data.batch_size=100", "data.cold_window=4", "data.evaluation_warmup=4", "callbacks.samples.enabled=true"),
        *("callbacks.samples.length=3", "callbacks.samples.greedy_length=3", "callbacks.samples.num_greedy=1"),
    ),
    "tiny_graph": ("task.engine=torch", "data.evaluation_chunk=40", "optimizer.schedule.name=plateau"),
    "tiny_graphs": ("task.engine=torch", "task.readout=attention", "data.positional={kind: laplacian, size: 2}"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNS)
def test_a_run_on_the_device_resumes_and_is_used_on_a_cpu(kind, request, tmp_path):
    tiny = request.getfixturevalue(kind)

    def trained(root: str, *stops: int) -> tuple[dict[str, Any], Any]:
        words = (*SHORT, *RUNS[kind], f"root={tmp_path / root}")
        for steps in stops:
            found = train(tiny(*words, f"trainer.max_steps={steps}"))
        return found[0], found[1]["run"]

    with pretended_cuda():
        result, run = trained("parts", 2, 4)
        if kind in ("tiny", "tiny_text"):  # the others have no state of their own
            whole = trained("whole", 4)[1]
            assert not checkpoint_differences(run, whole) and not metrics_differences(run, whole)
        assert result["device"] == "pretended"
        on_device = evaluate(run.path)
        assert on_device == {name: value for name, value in result["metrics"].items() if name in on_device}
        used = use(kind, run, "cuda")
    state = run.load(run.last)
    assert state["gpu"] and state["numerics"]["device"] == "pretended"
    for name, value in evaluate(run.path).items():  # here is no GPU
        assert on_device[name] == pytest.approx(value, abs=1e-5), name
    assert use(kind, run, "cpu") == used


def use(kind: str, run: Run, device: str) -> Any:
    """Return generated tokens, or predicted classes."""
    if kind == "tiny_text":
        return [result.tokens for result in generate(run, ["the", ""], max_new_tokens=4, device=device)[0][0]]
    return [] if kind == "tiny" else [row["prediction"] for row in predict(run)]


@pytest.mark.slow
def test_the_scale_of_fp16_is_in_the_checkpoint(tiny):
    with pretended_cuda():
        run = train(tiny(*SHORT, "task.num_layers=1", "trainer.precision=16-mixed", "trainer.max_steps=2"))[1]["run"]
    assert run.load(run.last)["MixedPrecision"]["scale"] > 0
    assert not torch.cuda.is_available()
