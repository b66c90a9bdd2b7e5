"""`python -m lightning_dl2.train -m words...`: lists the jobs, trains what is missing, and tells what came of it."""

import errno
import os
import re
import sys
from pathlib import Path
from signal import SIGUSR1, Signals
from typing import Any

import yaml

from lightning_dl2.common.command import REQUEUE
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import WriteError, write_text, writing
from lightning_dl2.common.run_files import Damaged, check_own_files, read_config
from lightning_dl2.config.compose import compose_multirun
from lightning_dl2.config.identity import digest
from lightning_dl2.config.overrides import format_override
from lightning_dl2.config.schema import Grid as GridRules
from lightning_dl2.config.schema import Multirun
from lightning_dl2.distributed import slurm
from lightning_dl2.run import lock
from lightning_dl2.run.directory import Run
from lightning_dl2.sweeps.figure import draw
from lightning_dl2.sweeps.grid import Grid
from lightning_dl2.sweeps.launchers.build import build_launcher
from lightning_dl2.sweeps.overrides import Words, read
from lightning_dl2.sweeps.report import Report, best_first
from lightning_dl2.sweeps.scheduler import Control, Plan
from lightning_dl2.sweeps.search import Search
from lightning_dl2.training import preflight
from lightning_dl2.training.finished import attend_sweep

TOLD = 500  # characters of a value in a message
LONGEST_NAME = 255  # bytes; what all common file systems allow


def sweep(argv: list[str]) -> int:
    """Runs a sweep, or goes on with it.

    Args:
        argv: the command's words, without -m.

    Returns:
        The exit code: 0 all completed; 1 some failed; 75 some were stopped, or SIGUSR1; 128 + signal.

    Raises:
        UserError: a word is wrong, of the sweep or of any job; nothing was started. Or another process holds the sweep.
    """
    _check_alone()
    words = read(argv)
    config = compose_multirun(*words.own)
    identity = _identity(words, config)
    name = config.sweep.name or _default_name(words, identity)
    extra = [f"logger.group={format_override(name)}"] if words.typed("logger.group") is None else []
    rules = config.sweep
    plan = Grid(words, extra, rules) if isinstance(rules, GridRules) else Search(words, extra, rules)
    for note in plan.notes:
        print(f"note: {note}", file=sys.stderr)
    metric = _metric(plan, config)
    directory = Path(plan.examples[0].root) / "sweeps" / name
    _check_same(directory, identity)
    if config.launcher.name == "local":  # elsewhere there may be other disks
        for example in plan.examples:
            if hasattr(example.data, "path") and not Run.of(example).finished(example):
                preflight.check_path(example)
    report = Report(plan, metric, directory)
    if config.dry:
        plan.open(directory, metric, dry=True)
        report.print_plan(sys.stdout)
        print(directory)
        return 0
    if config.launcher.name == "local":  # elsewhere there may be a GPU, or a login
        for example in plan.examples:
            if not Run.of(example).finished(example):
                preflight.check(example)
        attend_sweep(plan.examples)
    with lock.locked(directory):
        launcher = build_launcher(config.launcher, directory)
        _make_logs(directory / "logs")
        values = identity | {"metric": metric} | config.model_dump()
        write_text(directory / "sweep.yaml", yaml.safe_dump(values, sort_keys=False))
        plan.open(directory, metric, dry=False)
        report.print_plan(sys.stderr)
        with report:
            stopped = Control(plan, launcher, directory / "logs", report.tell).run()
        report.print_jobs(sys.stdout, best_first(plan.jobs, metric))
        if any(swept.name == "seed" for swept in words.swept):
            report.print_seeds()
        draw(plan.jobs, words.swept, metric, directory / "figures" / "sweep.png", history=isinstance(plan, Search))
        print(directory, flush=True)
        if stopped == SIGUSR1:
            slurm.requeue()  # as a whole
        return _exit_code(plan, stopped)


def _check_alone() -> None:
    """Each of several ranks would run the whole sweep."""
    for key in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        if os.environ.get(key, "1") != "1":
            raise UserError(
                f"-m: {key}={os.environ[key]}: a sweep is one process, which starts its jobs; allowed: without torchrun"
                " and srun, with trainer.devices for the processes of each job"
            )


def _identity(words: Words, config: Multirun) -> dict[str, Any]:
    """What decides which jobs there are; not how many are drawn, nor where they run."""
    free = {"name", "retry_failed", "trials"} | ({"monitor"} if isinstance(config.sweep, GridRules) else set())
    told = [str(part) for part in words.parts if not str(part).startswith("root=")]  # it stands below root
    return {"words": told, "rules": config.sweep.model_dump(exclude=free)}


def _default_name(words: Words, identity: dict[str, Any]) -> str:
    """Says what varies, with a hash of what decides which jobs there are."""
    experiment = words.typed("experiment")
    keys = [swept.name.rpartition(".")[2] for swept in words.swept]
    told = "-".join([*([experiment] if experiment else []), identity["rules"]["method"], *keys])
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '_', told)[:60]}-{digest(identity)}"


def _metric(plan: Plan, config: Multirun) -> str:
    """What the jobs are judged by."""
    wanted = config.sweep.monitor
    for example in plan.examples:
        if example.resume != "auto":
            raise UserError(f"resume={example.resume}: allowed in a sweep: auto; a second call does what is missing")
        if wanted and wanted not in example.logged_metrics:
            raise UserError(
                f"sweep.monitor={wanted}: data={example.data.name} logs no such metric; allowed:"
                f" {', '.join(example.logged_metrics)}"
            )
    monitors = {example.callbacks.checkpoint.monitor for example in plan.examples}
    # Several experiments with a metric each: the loss is what all of them log.
    return wanted or (monitors.pop() if len(monitors) == 1 else "val/loss")


def _check_same(directory: Path, identity: dict[str, Any]) -> None:
    if long := [part for part in directory.parts if len(os.fsencode(part)) > LONGEST_NAME]:
        raise UserError(f"{long[-1]}: is too long a name; allowed: at most {LONGEST_NAME} bytes, sweep.name and root")
    file = directory / "sweep.yaml"
    try:
        there = read_config(file)
    except Damaged as error:
        raise Damaged(file, error.why, "another sweep.name, or remove it") from error
    if there is None:
        return
    if missing := [key for key in identity if key not in there]:
        raise Damaged(file, f"is damaged: it has no key {missing[0]}", "another sweep.name, or remove it")
    if changed := [key for key in identity if there.get(key) != identity[key]]:
        told = str(there[changed[0]])
        raise UserError(
            f"sweep.name={directory.name}: {directory} holds a sweep with other {changed[0]}:"
            f" {told[:TOLD]}{'...' * (len(told) > TOLD)}; fix: another sweep.name"
        )


def _make_logs(directory: Path) -> None:
    try:
        with writing(directory):
            directory.mkdir(exist_ok=True)
    except WriteError as error:
        if error.errno != errno.EEXIST:
            raise
        raise UserError(f"{directory}: is no directory; fix: remove it, or another sweep.name") from error
    check_own_files(*directory.iterdir())  # what a job says would go through a link


def _exit_code(plan: Plan, stopped: Signals | None) -> int:
    if stopped:
        return REQUEUE if stopped == SIGUSR1 else 128 + stopped
    states = {job.state for job in plan.jobs}
    crashed = any(job.code not in (None, 0, REQUEUE) for job in plan.jobs if not job.pruned)
    if crashed or "failed" in states:
        return 1
    return 0 if states <= {"completed", "pruned"} else REQUEUE
