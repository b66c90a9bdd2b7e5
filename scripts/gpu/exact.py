"""Checks of exact runs on a device: killed, resumed, on several devices, and moved to a machine without one."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from lightning_dl2 import compose
from lightning_dl2.run.directory import Run
from scripts.gpu.checklist import Broken, Check, NotTried, Passed, Setting
from scripts.torture.exactness import compare as compare_resumed
from scripts.torture.small_runs import overrides_of
from scripts.torture.torture import HEADER, torture
from tests.comparison import contents, differing

ROOT = Path(__file__).parents[2]
PROCESSES_LIMIT = 240.0  # seconds for a check that starts processes
KILLED = {  # experiment of small_runs: (precision on a GPU, on the CPU)
    "palindrome": ("16-mixed", "bf16-mixed"),
    "text": ("bf16-mixed", "32"),
    "graph": ("32", "32"),
    "graphs": ("16-mixed", "32"),
}
MOVED_TOLERANCE = 1e-4
EVALUATE = "import json, sys, lightning_dl2; print(json.dumps(lightning_dl2.evaluate(sys.argv[1])))"


def check_killed(setting: Setting, name: str) -> Passed:
    """Kill a run at random moments by SIGKILL, resume it, and compare all files; a changed batch must be found."""
    precision = KILLED[name][setting.device == "cpu"]
    further = [f"trainer.accelerator={setting.accelerator}", f"trainer.precision={precision}"]
    kills = 2 if name == "palindrome" and not setting.short else 1
    folder = setting.folder / f"killed-{name}"
    folder.mkdir(parents=True)
    row = torture(name, 1, kills, random.randrange(10**6), "fork", folder, lambda *_: None, [signal.SIGKILL], further)
    found = dict(zip(HEADER, row, strict=True))
    if found["differing"] != "0":
        raise Broken(f"{found['differing']} of {found['values']} values differ after {kills} kills")
    if found["in the control"] == "0":
        raise Broken("the comparison finds no difference where one batch was replaced")
    return Passed(f"{found['values']} values have equal bits after {found['KILL']} kills, {precision}")


def check_processes(setting: Setting) -> Passed:
    """Stop and resume a run of one process for each GPU (NCCL), or of two on the CPU (gloo)."""
    number = torch.cuda.device_count() if setting.device == "cuda" else 2
    if number < 2:
        raise NotTried("needs two GPUs; this machine has one")
    folder = setting.folder / f"processes-{number}"
    folder.mkdir(parents=True)
    overrides = (f"trainer.accelerator={setting.accelerator}", "trainer.strategy=ddp")
    stops = (5, 10) if setting.short else (13, 26, 40)
    wrong, values = compare_resumed("palindrome", overrides, folder, stops, number, "command")
    if wrong:
        raise Broken(f"{len(wrong)} of {values} values differ after a resume, first {wrong[0]}")
    return Passed(f"{values} values have equal bits after a resume")


def check_one_of_ddp(setting: Setting) -> Passed:
    """Train with trainer=ddp on one device, and compare with the same run without it."""
    folder = setting.folder / "one-of-ddp"
    folder.mkdir(parents=True)
    runs = []
    for strategy in ("ddp", "auto"):
        overrides = [*overrides_of("palindrome", 1, folder), f"trainer.accelerator={setting.accelerator}"]
        overrides += [f"trainer.strategy={strategy}", f"root={folder / strategy}", "trainer.max_steps=20"]
        _python("-m", "lightning_dl2.train", *overrides)
        runs.append(Run.of(compose(*overrides)))
    found = [
        {place: value for place, value in contents(run).items() if place.startswith("metrics.csv")} for run in runs
    ]
    if wrong := differing(*found):
        raise Broken(f"{len(wrong)} of {len(found[0])} logged values differ, first {wrong[0]}")
    return Passed(f"{len(found[0])} logged values are equal")


def check_machines(setting: Setting) -> Passed:
    """Say that one machine cannot try several."""
    raise NotTried("needs two machines with GPUs")


def check_moved(setting: Setting) -> Passed:
    """Evaluate a run of the device on the CPU."""
    folder = setting.folder / "moved"
    folder.mkdir(parents=True)
    overrides = [*overrides_of("palindrome", 1, folder), f"trainer.accelerator={setting.accelerator}"]
    overrides += [f"root={folder}", "trainer.max_steps=20"]
    _python("-m", "lightning_dl2.train", *overrides)
    run = Run.of(compose(*overrides))
    expected = {key: value for key, value in run.result()["metrics"].items() if key.startswith("test/")}
    found = json.loads(_python("-c", EVALUATE, str(run.path), environment={"CUDA_VISIBLE_DEVICES": ""}))
    for key, value in expected.items():
        if not abs(found[key] - value) <= MOVED_TOLERANCE * max(1.0, abs(value)):
            raise Broken(f"{key} is {found[key]} on the CPU, {value} on the device")
    return Passed(f"{len(expected)} test metrics are equal to {MOVED_TOLERANCE:g}")


def _python(*arguments: str, environment: dict[str, str] | None = None) -> str:
    """Run Python with the package; return its stdout.

    Raises:
        Broken: it did not exit with 0.
    """
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    own = {**os.environ, "PYTHONPATH": paths, **(environment or {})}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=own, capture_output=True, encoding="utf-8", errors="replace", check=False)
    print(" ".join(command), done.stdout, done.stderr, sep="\n")
    if done.returncode:
        last = next(iter(done.stderr.strip().splitlines()[-1:]), "")
        raise Broken(f"{' '.join(arguments[:2])} ended with {done.returncode}: {last}")
    return done.stdout


def checks() -> Iterator[Check]:
    """Yield the checks of exact runs."""
    new = partial(Check, "exact runs", limit=PROCESSES_LIMIT)
    for name in KILLED:
        yield new("a killed run has the bits of the run that never stopped", name, check_killed, (name,))
    yield new("trainer=ddp over one device logs what one device logs", "palindrome", check_one_of_ddp)
    yield new("trainer=ddp over all devices resumes to equal bits", "palindrome", check_processes)
    yield new("trainer=multi_node resumes to equal bits", "palindrome", check_machines)
    yield new("a run of the device evaluates on the CPU", "palindrome", check_moved)
