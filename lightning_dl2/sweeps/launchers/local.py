"""Run jobs as processes of this machine, which share its GPUs or its cores."""

import os
import signal
import subprocess
from functools import partial
from pathlib import Path

from lightning_dl2.common.files import writing
from lightning_dl2.common.system import die_with
from lightning_dl2.config import schema
from lightning_dl2.config.schema import Config
from lightning_dl2.distributed.devices import Devices
from lightning_dl2.sweeps.jobs import Job
from lightning_dl2.sweeps.launchers.base import command, environment


class Process:
    """A job in a process and a group of its own: Ctrl-C at the terminal reaches the sweep alone."""

    def __init__(self, overrides: list[str], log: Path, added: dict[str, str]) -> None:
        with writing(log):
            file = open(log, "ab")  # noqa: SIM115 - closed below; other errors are not the file's
        with file:
            self._process = subprocess.Popen(
                command(overrides),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment() | added,
                start_new_session=True,
                preexec_fn=partial(die_with, os.getpid(), signal.SIGTERM),  # saves and exits when this one ends
            )

    def poll(self) -> int | None:
        return self._process.poll()

    def stop(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)


class LocalLauncher:
    """Start jobs on this machine.

    Args:
        config: of conf/launcher/local.yaml.
    """

    def __init__(self, config: schema.Local) -> None:
        self.jobs = config.jobs
        self._taken: dict[Process, list[str]] = {}  # GPUs of each process

    def start(self, job: Job, log: Path) -> Process | None:
        if not Devices(job.config.trainer).is_gpu:
            return Process(job.overrides, log, self._threads(job.config))
        if self.jobs == 1:
            return Process(job.overrides, log, {})
        self._taken = {process: gpus for process, gpus in self._taken.items() if process.poll() is None}
        visible, taken = visible_gpus(), sum(self._taken.values(), [])
        free = [gpu for gpu in visible if gpu not in taken]
        wanted = job.config.trainer.devices
        number = max(1, len(visible) // self.jobs) if wanted == "auto" else wanted
        if number > len(free) and taken:
            return None
        gpus = free[:number]  # where the machine has too few, the job reports it
        process = Process(job.overrides, log, {"CUDA_VISIBLE_DEVICES": ",".join(gpus)})
        self._taken[process] = gpus
        return process

    def _threads(self, config: Config) -> dict[str, str]:
        if "OMP_NUM_THREADS" in os.environ:
            return {}
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        devices = 1 if config.trainer.devices == "auto" else config.trainer.devices
        return {"OMP_NUM_THREADS": str(max(1, cores // (self.jobs * devices)))}


def visible_gpus() -> list[str]:
    """Return the names of the GPUs that this process may use, as in CUDA_VISIBLE_DEVICES."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]
