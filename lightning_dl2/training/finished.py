"""Serve a command that meets a complete run: check its data, name what it did not do, send it to a logger.

Nothing here trains. torch is imported only where a checkpoint must be read.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lightning_dl2.config.schema import Config
from lightning_dl2.resume.find_checkpoint import OTHERWISE, data_spec
from lightning_dl2.run import lock
from lightning_dl2.run.directory import Run


def check_data(config: Config, run: Run, result: dict[str, Any]) -> str | None:
    """Compare the data at `data.path` with those of a complete run; return a note where they no longer exist.

    A text is compared by its digest. Graphs, and runs of older versions, need the data module and a checkpoint.

    Raises:
        UserError: the data differ, or cannot be read.
    """
    sources = [(path, Path(path).expanduser()) for path in config.data.sources]
    if not sources:
        return None
    if missing := [path for path, source in sources if not source.exists()]:
        return f"data.path={missing[0]}: no longer exists; the result is of the data that the run was trained on"
    then = result.get("data_digest")
    if then is not None and (now := config.data.quick_digest()) is not None:
        run.check_same_data({"digest": then}, {"digest": now}, OTHERWISE)
        return None
    checkpoint = next((file for file in (run.best, run.last) if file.exists()), None)
    if checkpoint is None:
        path = sources[0][0]
        return f"data.path={path}: cannot be compared with the data of the run, which has no checkpoint left"
    from lightning_dl2.data.build import build_data

    trained_on = data_spec(run.load(checkpoint))
    run.check_same_data(trained_on, build_data(config.data, config.seed).spec, OTHERWISE)
    return None


def not_done(config: Config, run: Run, result: dict[str, Any]) -> list[str]:
    """Say what a complete run did not do of that which `config` asks for beside the training, each with a fix."""
    before, again = run.recorded(), "use resume=restart, which trains it again"
    asked, had = config.callbacks, before.callbacks
    flow_fix = f"python -m lightning_dl2.analyze gradients run={run.path}, for the trained net; or {again}"
    # Each key, its value in the command and in the run, whether the run has its files, and the way to get them.
    keys = {
        "callbacks.gradient_flow.enabled": (
            asked.gradient_flow.enabled, had.gradient_flow.enabled, run.gradient_flow_file.exists(), flow_fix,
        ),
        "callbacks.samples.enabled": (
            asked.samples.enabled, had.samples.enabled, (run.path / "samples").exists(),
            f"python -m lightning_dl2.generate run={run.path}",
        ),
        "callbacks.curves": (
            asked.curves, had.curves, (run.path / "figures" / "curves.png").exists(),
            f"python -m lightning_dl2.report {run.path}",
        ),
        "trainer.profiler": (config.trainer.profiler, before.trainer.profiler, False, again),
    }  # fmt: skip
    lines = [
        f"{key}={str(value).lower()}: has no effect on a complete run; fix: {fix}"
        for key, (value, former, exists, fix) in keys.items()
        if value and value != former and not exists
    ]
    for group, mine, theirs in (("callbacks", asked.own, had.own), ("logger", config.logger.own, before.logger.own)):
        # Another callback is another run, unless its name is that of one that changes nothing.
        new = [name for name in mine if name not in theirs]
        lines += [f"{group}.{name}: has no effect on a complete run; fix: {again}" for name in new]
    steps, most = result.get("steps") or 0, config.trainer.max_steps
    if 0 < most < steps and result.get("stopped_by") == "limit":
        lines.append(f"trainer.max_steps={most}: the run has been trained for {steps} steps; fix: use another root")
    return lines


def missing_loggers(config: Config, run: Run) -> list[str]:
    """Return the names of the loggers of `config` that do not have the run."""
    kept = {"wandb": any(run.path.glob("wandb/*run-*")), "tensorboard": (run.path / "tensorboard").exists()}
    return [name for name in config.logger.names if not kept.get(name, True)]


def attend(config: Config, run: Run, result: dict[str, Any]) -> None:
    """Check the data of a complete run, send it to a logger that does not have it, and print what it did not do.

    Raises:
        UserError: the data have changed, or the logger cannot be used.
    """
    note = check_data(config, run, result)
    # A W&B sweep waits for the value, also that of a run which W&B has.
    agent = ["wandb"] if "wandb" in config.logger.names and "WANDB_SWEEP_ID" in os.environ else []
    code = run.code.note(config, "the result is of the former code; fix: resume=restart trains it anew")
    for line in filter(None, [note, code, *not_done(config, run, result)]):
        print(f"note: {line}", file=sys.stderr)
    names = list(dict.fromkeys([*missing_loggers(config, run), *agent]))
    if not names:
        return
    from lightning_dl2.loggers import build
    from lightning_dl2.training import preflight

    preflight.check_logger(config)
    with lock.locked(run.path):
        build.send_finished(config, run, result, names)
    if not agent:
        for name in set(names) - set(missing_loggers(config, run)):
            print(f"note: logger={name}: has got the complete run from its files", file=sys.stderr)


def attend_sweep(configs: Iterable[Config]) -> None:
    """Check the data of the complete runs among a sweep's jobs; print, in a line a key, what they did not do.

    Raises:
        UserError: the data of one have changed.
    """
    counts: Counter[str] = Counter()
    for config in configs:
        run = Run.of(config)
        if result := run.finished(config):
            check_data(config, run, result)
            counts.update(line.partition(":")[0] for line in not_done(config, run, result))
            counts.update(f"logger={name}" for name in missing_loggers(config, run))
    for key, count in counts.items():
        jobs = f"{count} job{'s are' if count > 1 else ' is'} complete and not started again"
        print(f"note: {key}: {jobs}; fix: call train for each without -m", file=sys.stderr)


class Objects(Mapping[str, Any]):
    """Map the names of a complete run's objects, as of `train`, to objects that are loaded when first asked for."""

    def __init__(self, run: Run, config: Config, build: Callable[[], tuple[Any, Any]] | None = None) -> None:
        self._run, self._config, self._build = run, config, build
        self._loaded: dict[str, Any] = {"run": run}

    def __getitem__(self, key: str) -> Any:
        if key in ("task", "datamodule", "trainer") and key not in self._loaded:
            from lightning_dl2.training.open_run import build_for_evaluation

            with self._run.open_checkpoint("best") as content:
                given = self._build() if self._build else None
                parts = build_for_evaluation(self._run, self._config, content, "best", given)
            self._loaded |= dict(zip(("task", "datamodule", "trainer"), parts, strict=True))
        return self._loaded[key]

    def __iter__(self) -> Iterator[str]:
        return iter(("run", "task", "datamodule", "trainer"))

    def __len__(self) -> int:
        return 4
