"""Send the figures, samples and checkpoint of a completed run to Weights & Biases."""

from typing import TYPE_CHECKING

from lightning_dl2.resume.checkpoint_file import sidecar

if TYPE_CHECKING:
    import wandb

    from lightning_dl2.run.directory import Run


def _send_figures(experiment: "wandb.Run", run: "Run") -> None:
    import wandb

    files = sorted((run.path / "figures").glob("*.png"))
    if files:
        experiment.log({f"figures/{file.stem}": wandb.Image(str(file)) for file in files})


def _send_samples(experiment: "wandb.Run", run: "Run") -> None:
    import wandb

    files = sorted((run.path / "samples").glob("step=*.txt"))
    rows = [[int(file.stem.removeprefix("step=")), file.read_text("utf-8")] for file in files]
    if rows:
        experiment.log({"samples": wandb.Table(columns=["step", "text"], data=rows)})


def _send_checkpoint(experiment: "wandb.Run", run: "Run") -> None:
    """Send the files of a run directory that `evaluate` and `generate` need."""
    import wandb

    artifact = wandb.Artifact(f"run-{experiment.id}", type="model")
    for file in (run.config_file, run.result_file, run.best, sidecar(run.best)):
        artifact.add_file(str(file), name=str(file.relative_to(run.path)))
    experiment.log_artifact(artifact, aliases=["best"])


ARTIFACTS = {"figures": _send_figures, "samples": _send_samples, "checkpoint": _send_checkpoint}
