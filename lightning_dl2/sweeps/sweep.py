"""Run `python -m lightning_dl2.train -m overrides...`: list the jobs, train missing ones, show the results."""

import os
import re
import sys
from pathlib import Path
from signal import SIGUSR1, Signals
from typing import Any

import yaml

from lightning_dl2.common.command import REQUEUE
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import write_text, writing
from lightning_dl2.common.run_files import Damaged, check_own_files, read_config
from lightning_dl2.config.compose import compose_multirun
from lightning_dl2.config.identity import digest
from lightning_dl2.config.overrides import format_override
from lightning_dl2.config.schema import Grid as GridRules
from lightning_dl2.config.schema import Multirun
from lightning_dl2.config.schema import Search as SearchRules
from lightning_dl2.distributed import slurm
from lightning_dl2.distributed.devices import Devices
from lightning_dl2.run import lock
from lightning_dl2.run.directory import Run
from lightning_dl2.sweeps.figure import draw
from lightning_dl2.sweeps.grid import Grid
from lightning_dl2.sweeps.jobs import Objective, Plan
from lightning_dl2.sweeps.launchers.build import build_launcher
from lightning_dl2.sweeps.overrides import SweepOverrides, read_overrides, with_file
from lightning_dl2.sweeps.progress_report import ProgressReport, best_first
from lightning_dl2.sweeps.scheduler import Scheduler
from lightning_dl2.sweeps.search import Search
from lightning_dl2.training import preflight
from lightning_dl2.training.finished import attend_sweep

SHOWN = 500  # characters of a value in a message
OTHER_NAME = "choose another sweep.name, or remove it"
LONGEST_NAME = 255  # bytes; the limit of all common file systems


def sweep(argv: list[str]) -> int:
    """Run a sweep, or resume it.

    Args:
        argv: the overrides of the command, without -m.

    Returns:
        The exit code: 0 all completed; 1 some failed; 75 some were stopped, or SIGUSR1; 128 + signal.

    Raises:
        UserError: an override of the sweep or of any job is wrong, or another process holds the sweep. No job was
            started.
    """
    _check_alone()
    overrides = read_overrides(argv)
    config = compose_multirun(*overrides.own)
    if config.sweep.overrides:
        overrides = with_file(overrides, config.sweep.overrides)
    identity = _identity(overrides, config)
    name = config.sweep.name or _default_name(overrides, identity, written=bool(config.sweep.overrides))
    plan = _plan(overrides, config.sweep, name)
    for note in plan.notes:
        print(f"note: {note}", file=sys.stderr)
    objective = _objective(plan, config)
    directory = Path(plan.examples[0].root) / "sweeps" / name
    _check_same(directory, identity)
    if config.launcher.name == "local":  # other machines may have other disks
        for example in plan.examples:
            if not Run.of(example).finished(example):
                example.data.check_sources()
    report = ProgressReport(plan, objective, directory, config.launcher.jobs, config.sweep.max_time)
    if config.dry:
        plan.open(directory, objective, dry=True)
        report.print_plan(sys.stdout)
        print(directory)
        return 0
    if config.launcher.name == "local":  # other machines may have a GPU, or a login
        for example in plan.examples:
            if not Run.of(example).finished(example):
                preflight.check(example, Devices(example.trainer))
        attend_sweep(plan.examples)
    with lock.locked(directory):
        launcher = build_launcher(config.launcher, directory)
        _make_logs(directory / "logs")
        values = identity | {"metric": objective.metric} | config.model_dump()
        write_text(directory / "sweep.yaml", yaml.safe_dump(values, sort_keys=False))
        plan.open(directory, objective, dry=False)
        report.print_plan(sys.stderr)
        with report:
            scheduler = Scheduler(plan, launcher, directory / "logs", report.tell, config.sweep.max_time)
            stopped = scheduler.run()
        report.print_jobs(sys.stdout, best_first(plan.jobs, objective))
        swept, figure = overrides.swept, directory / "figures" / "sweep.png"
        if any(key.name == "seed" for key in swept):
            report.print_seeds()
        draw(plan.jobs, swept, objective, figure, history=isinstance(plan, Search))
        print(directory, flush=True)
        if stopped == SIGUSR1:
            slurm.requeue()  # as a whole
        return REQUEUE if scheduler.out_of_time else _exit_code(plan, stopped)


def _plan(overrides: SweepOverrides, rules: GridRules | SearchRules, name: str) -> Grid | Search:
    """Build the grid or the search, whose jobs form the group `name` in W&B unless `logger.group` is typed."""
    extra = [f"logger.group={format_override(name)}"] if overrides.value_of("logger.group") is None else []
    return Grid(overrides, extra, rules) if isinstance(rules, GridRules) else Search(overrides, extra, rules)


def _check_alone() -> None:
    """Raise UserError in one of several ranks: each would run the whole sweep."""
    for key in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        if os.environ.get(key, "1") != "1":
            raise UserError(
                f"-m: {key}={os.environ[key]}: a sweep is one process, which starts its jobs; fix: run it without"
                " torchrun and srun, and set trainer.devices for the ranks of each job"
            )


def _identity(overrides: SweepOverrides, config: Multirun) -> dict[str, Any]:
    """Return the values that decide which jobs a sweep has; their number and their launcher are free to change."""
    free = {"name", "retry_failed", "trials", "max_time", "overrides"}  # overrides are among the words
    free |= {"monitor", "mode"} if isinstance(config.sweep, GridRules) else set()
    if config.sweep.mode is None:
        free |= {"mode"}  # sweeps of older versions do not have it
    parts = [str(part) for part in overrides.parts if not str(part).startswith("root=")]  # the sweep is below root
    return {"words": parts, "rules": config.sweep.model_dump(exclude=free)}


def _default_name(overrides: SweepOverrides, identity: dict[str, Any], *, written: bool) -> str:
    """Name the sweep by its method and the keys that vary, and by a hash of its identity.

    Args:
        written: whether a file of conf/sweep/ has overrides; then its name takes the place of method and keys.
    """
    experiment = overrides.value_of("experiment")
    keys = [swept.name.rpartition(".")[2] for swept in overrides.swept]
    chosen = next((each.partition("=")[2] for each in overrides.own if each.startswith("sweep=")), None)
    name = "-".join([*([experiment] if experiment else []), identity["rules"]["method"], *keys])
    if chosen and written:
        name = chosen
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '_', name)[:60]}-{digest(identity)}"


def _objective(plan: Plan, config: Multirun) -> Objective:
    """Return the metric by which jobs are compared.

    Raises:
        UserError: the jobs do not log sweep.monitor, nobody knows its direction, or they have a `resume` of their own.
    """
    wanted = config.sweep.monitor
    for example in plan.examples:
        if example.resume != "auto":
            raise UserError(f"resume={example.resume}: allowed in a sweep: auto; a second call trains missing jobs")
        logged = example.logged_metrics
        if wanted and logged is not None and wanted not in logged:
            raise UserError(
                f"sweep.monitor={wanted}: data={example.data.title} logs no such metric; allowed: {', '.join(logged)}"
            )
    monitors = {example.callbacks.checkpoint.monitor for example in plan.examples}
    # Experiments may differ in their metric; the built-in ones all log the loss.
    metric = wanted or (monitors.pop() if len(monitors) == 1 else "val/loss")
    if metric is None:
        raise UserError("sweep.monitor=null: callbacks.checkpoint.monitor is null, too; fix: sweep.monitor=METRIC")
    known = {example.mode_of(metric) for example in plan.examples} - {None}
    mode = config.sweep.mode or (known.pop() if len(known) == 1 else None)
    if mode is None:
        what = f"sweep.mode=null: neither the task nor a callback says in which direction {metric} improves"
        raise UserError(f"{what}; fix: sweep.mode=min, or sweep.mode=max")
    if known - {mode}:
        raise UserError(f"sweep.mode={mode}: allowed with {metric}: {known.pop()}")
    return Objective(metric, mode)


def _check_same(directory: Path, identity: dict[str, Any]) -> None:
    if long := [part for part in directory.parts if len(os.fsencode(part)) > LONGEST_NAME]:
        raise UserError(f"{long[-1]}: is too long; allowed in sweep.name and root: at most {LONGEST_NAME} bytes")
    file = directory / "sweep.yaml"
    try:
        there = read_config(file)
    except Damaged as error:
        raise Damaged(file, error.why, OTHER_NAME) from error
    if there is None:
        return
    if missing := [key for key in identity if key not in there]:
        raise Damaged(file, f"is damaged: it has no key {missing[0]}", OTHER_NAME)
    if changed := [key for key in identity if there.get(key) != identity[key]]:
        other = str(there[changed[0]])
        raise UserError(
            f"sweep.name={directory.name}: {file} belongs to another sweep, with these {changed[0]}:"
            f" {other[:SHOWN]}{'...' * (len(other) > SHOWN)}; fix: choose another sweep.name"
        )


def _make_logs(directory: Path) -> None:
    if os.path.lexists(directory) and not directory.is_dir():
        raise UserError(f"{directory}: is not a directory; fix: {OTHER_NAME}")
    with writing(directory):
        directory.mkdir(exist_ok=True)
    check_own_files(*directory.iterdir())  # the output of a job would follow a link


def _exit_code(plan: Plan, stopped: Signals | None) -> int:
    if stopped:
        return REQUEUE if stopped == SIGUSR1 else 128 + stopped
    states = {job.state for job in plan.jobs}
    crashed = any(job.code not in (None, 0, REQUEUE) for job in plan.jobs if not job.pruned)
    if crashed or "failed" in states:
        return 1
    return 0 if states <= {"completed", "pruned"} else REQUEUE
