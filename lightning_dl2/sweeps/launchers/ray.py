"""Run jobs on a Ray cluster, an actor each, which Ray restarts elsewhere if its machine is lost."""

import os
import signal
import subprocess
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.system import die_with
from lightning_dl2.config import schema
from lightning_dl2.sweeps.jobs import Job
from lightning_dl2.sweeps.launchers.base import command, environment


class Train:
    """The actor on the cluster: it runs the command in a process, which a second thread can signal."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped_by: int | None = None  # a signal that arrived before the process had started
        self._starting = Lock()

    def run(self, command: list[str], log: str, cwd: str) -> int:
        with open(log, "ab") as file, self._starting:
            if self._stopped_by is not None:
                return 128 + self._stopped_by
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=environment(),
                cwd=cwd,
                preexec_fn=partial(die_with, os.getpid(), signal.SIGTERM),  # saves and exits when this one ends
            )
        return self._process.wait()

    def stop(self, number: int) -> None:
        with self._starting:
            if self._process is None:
                self._stopped_by = number
            else:
                self._process.send_signal(number)


class Actor:
    """A job on the Ray cluster."""

    def __init__(self, actor: Any, result: Any) -> None:
        self._actor, self._result = actor, result

    def poll(self) -> int | None:
        import ray

        ended, _ = ray.wait([self._result], timeout=0)
        if not ended:
            return None
        try:
            return ray.get(self._result)
        except ray.exceptions.RayError:  # Ray lost more machines than launcher.restarts allows
            return -signal.SIGKILL

    def stop(self, number: signal.Signals) -> None:
        self._actor.stop.remote(int(number))

    def kill(self) -> None:
        import ray

        ray.kill(self._actor)


class RayLauncher:
    """Start jobs on a Ray cluster.

    Args:
        config: of conf/launcher/ray.yaml.

    Raises:
        UserError: Ray is not installed, or no cluster answers.
    """

    def __init__(self, config: schema.Ray) -> None:
        try:
            import ray
        except ImportError as error:
            raise UserError("launcher=ray: needs Ray; fix: pip install ray, or launcher=local") from error
        self.jobs = config.jobs
        try:
            if not ray.is_initialized():
                variables = {"PYTHONPATH": environment()["PYTHONPATH"]}
                ray.init(address=config.address, log_to_driver=False, runtime_env={"env_vars": variables})
        except ConnectionError as error:
            raise UserError(f"launcher.address={config.address}: no cluster answers; allowed: null") from error
        self._actor = ray.remote(Train).options(
            num_cpus=config.cpus,
            num_gpus=config.gpus,
            max_restarts=config.restarts,
            max_task_retries=config.restarts,
            max_concurrency=2,
        )

    def start(self, job: Job, log: Path) -> Actor:
        actor = self._actor.remote()
        return Actor(actor, actor.run.remote(command(job.overrides), str(log.absolute()), os.getcwd()))
