"""Test that a run which ends before its first validation is validated once, and that its extension is unaffected."""

import pytest

from lightning_dl2 import compose, train
from tests.conftest import TINY

WORDS = (*TINY, "callbacks.solved.threshold=0.0", "callbacks.solved.times=1", "callbacks.curves=true")
NO_VALIDATION = "trainer.val_check_interval=500"


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("callbacks.weight_averaging.enabled=true", "trainer.precision=64")])
def test_the_last_weights_are_validated_where_nothing_else_was(tmp_path, words):
    def trained(root: str, steps: int, every: str = NO_VALIDATION):
        return train(compose(*WORDS, *words, every, f"trainer.max_steps={steps}", f"root={tmp_path / root}"))

    result, objects = trained("parts", 10)
    run = objects["run"]
    assert (result["best_step"], result["stopped_by"], result["solved_at"]) == (10, "limit", None)
    assert (run.path / "figures" / "curves.png").is_file()
    validated, _ = trained("validated", 10, "trainer.val_check_interval=10")
    assert validated["metrics"] == result["metrics"] and {"val/loss", "val/accuracy"} < result["metrics"].keys()

    extended, _ = trained("parts", 16)
    whole, objects = trained("whole", 16)
    assert run.metrics_file.read_bytes() == objects["run"].metrics_file.read_bytes()
    assert (extended["metrics"], extended["best_step"]) == (whole["metrics"], 16)
