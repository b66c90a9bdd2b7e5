"""Write run directories with chosen contents, as a training would leave them."""

import json
from functools import cache
from pathlib import Path

import yaml

from lightning_dl2 import compose
from lightning_dl2.common.files import csv_text
from lightning_dl2.config.schema import Config
from lightning_dl2.run.directory import Run, variant

# One pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763d8bf7f3f000586"
    "02c3d5d7f8290000000049454e44ae426082"
)


@cache
def _composed(words: tuple[str, ...]) -> Config:
    return compose(*words, begun=lambda config: True)


def made_up_run(
    root: Path,
    *words: str,
    seed: int = 0,
    losses: tuple[float, ...] = (2.0, 1.0, 0.5),
    accuracy: float = 0.9,
    status: str | None = "completed",
    error: str | None = None,
    samples: str = "",
    at: dict[int, float] | None = None,
) -> Path:
    """Write the directory of a run with a validation every ten steps.

    Args:
        words: overrides of the run.
        losses: of the validations.
        accuracy: of the test.
        at: accuracy of the test by length.
        status: in result.json; None leaves the file out, as in a killed run.
    """
    config = _composed(words).model_copy(update={"root": str(root), "seed": seed})
    path = Run.of(config).path
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump(config.model_dump(), sort_keys=False))
    rows = [(10 * number, 1.1 * loss, loss, 1 / (1 + loss)) for number, loss in enumerate(losses, 1)]
    header = ("step", "train/loss", "val/loss", "val/accuracy")
    (path / "metrics.csv").write_text(csv_text([header, *rows]))
    if samples:
        (path / "samples").mkdir()
        (path / "samples" / "step=000030.txt").write_text(samples)
    if status:
        metrics = {"val/loss": min(losses), "val/accuracy": 1 / (1 + min(losses))}
        if status == "completed":
            metrics |= {"test/loss": min(losses), "test/accuracy": accuracy, "test/majority_baseline": 0.1}
            metrics |= {f"test/accuracy_at_{length}": value for length, value in (at or {}).items()}
            if at:
                metrics["test/accuracy_beyond"] = sum(at.values()) / len(at)
        result = {"experiment": config.experiment, "variant": variant(config), "seed": seed, "status": status}
        result |= {"error": error, "metrics": metrics, "steps": 10 * len(losses), "seconds": 1.5 + seed}
        result |= {"parameters": 1234, "world_size": 1, "device": "cpu"}
        (path / "result.json").write_text(json.dumps(result))
    return path


def made_up_by_others(root: Path, seed: int = 0, **checkpoint: str | None) -> Path:
    """Write the directory of a run whose task and data are of code that does not exist here, with names of its own."""
    path = made_up_run(root, seed=seed)
    config = yaml.safe_load((path / "config.yaml").read_text())
    config |= {"experiment": "digits", "data": {"_target_": "gone.Data", "size": 3}, "task": {"_target_": "gone.Net"}}
    config["callbacks"]["checkpoint"] |= {"monitor": "valid/f1", "mode": "max"} | checkpoint
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    header = ("step", "train_loss_step", "val_loss", "valid/f1", "accuracy")
    (path / "metrics.csv").write_text(csv_text([header, (10, 3.0, 2.0, 0.5, 0.25), (20, 2.0, 1.0, 0.75, 0.5)]))
    result = json.loads((path / "result.json").read_text()) | {"experiment": "digits"}
    result["metrics"] = {"accuracy": 0.5, "val_loss": 1.0, "valid/f1": 0.75, "test_f1": 0.625, "test/accuracy": 0.375}
    (path / "result.json").write_text(json.dumps(result))
    return path
