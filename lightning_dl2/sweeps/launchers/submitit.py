"""Run jobs on SLURM through submitit, which requeues those that reach their time limit or are preempted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lightning_dl2.common import launcher
from lightning_dl2.common.errors import UserError
from lightning_dl2.config import schema
from lightning_dl2.sweeps.jobs import Job
from lightning_dl2.sweeps.launchers.base import command, environment

ASKING = 30.0  # seconds between two queries of SLURM's queue for a job without a result
# Hidden from training, which would requeue itself, as submitit does already; the other variables give the ranks.
REQUEUES = ("SLURM_JOB_ID", "SLURM_JOBID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")


class Train:
    """The task on the cluster: it runs a command in a process of its own.

    Args:
        tasks: number of tasks that SLURM starts for one run.
    """

    def __init__(self, command: list[str], log: Path, tasks: int) -> None:
        self.command, self.log, self.tasks = command, log, tasks
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        signal.signal(signal.SIGTERM, self._pass_on)
        with open(self.log, "ab") as file:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=self._environment()
            )
        while not self._ended():
            time.sleep(0.1)
        return self._process.wait()

    def _ended(self) -> bool:
        """Check without the lock of Popen, for which a signal's handler would wait forever."""
        try:
            assert self._process
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def _pass_on(self, number: int, frame: Any) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _environment(self) -> dict[str, str]:
        if self.tasks == 1:
            return environment()
        port = 10000 + (launcher.number("SLURM_JOB_ID") or 0) % 20000
        kept = {key: value for key, value in os.environ.items() if key not in REQUEUES}
        return {"MASTER_PORT": str(port)} | kept

    def checkpoint(self) -> Any:
        """Save the run and return the task to submit again; submitit calls this at SIGUSR1."""
        import submitit

        if self._process is not None:
            self._process.send_signal(signal.SIGUSR1)
            while not self._ended():
                time.sleep(0.1)
        return submitit.helpers.DelayedSubmission(Train(self.command, self.log, self.tasks))


class Submitted:
    """A submitted job."""

    def __init__(self, job: Any, cluster: str) -> None:
        self._job, self._cluster, self._asked = job, cluster, time.monotonic()

    def poll(self) -> int | None:
        queued, first = self._is_queued(), self._job.task(0)  # in this order: the result may appear in between
        if first.paths.result_pickle.exists():
            return 1 if first.exception() else first.result()
        return None if queued else -signal.SIGKILL

    def _is_queued(self) -> bool:
        if self._cluster == "local":
            return not self._job.done()
        if time.monotonic() < self._asked + ASKING:
            return True
        self._asked = time.monotonic()
        done = subprocess.run(
            ["squeue", "-h", "-j", self._job.job_id], capture_output=True, encoding="utf-8", errors="replace"
        )
        return not (done.returncode == 0 and not done.stdout.strip() or "Invalid job id" in done.stderr)

    def stop(self, number: signal.Signals) -> None:
        if self._cluster == "local":
            self._job._process.send_signal(signal.SIGTERM)
        else:
            self._job.cancel(check=False)  # SLURM sends SIGTERM, and after a while SIGKILL

    def kill(self) -> None:
        self._job.cancel(check=False)


class SubmititLauncher:
    """Start jobs on a SLURM cluster, or here as submitit's `local` cluster.

    Args:
        config: of conf/launcher/submitit.yaml.
        directory: of the sweep, on a disk that the cluster shares.

    Raises:
        UserError: submitit or SLURM is not installed.
    """

    def __init__(self, config: schema.Submitit, directory: Path) -> None:
        try:
            import submitit
            from submitit.core.job_environment import JobEnvironment
        except ImportError as error:
            raise UserError(
                "launcher=submitit: needs submitit; fix: pip install submitit, or launcher=local"
            ) from error
        # submitit's own, SIGUSR2, would end a run unsaved: SLURM sends the signal to each process of the job.
        JobEnvironment.USR_SIG = os.environ["SUBMITIT_PREEMPT_SIGNAL"] = "USR1"  # here, and in the jobs
        os.environ["PYTHONPATH"] = environment()["PYTHONPATH"]
        self.jobs, self._config = config.jobs, config
        self._tasks = config.nodes * config.tasks_per_node
        here = config.cluster == "local"
        executor = submitit.LocalExecutor if here else submitit.SlurmExecutor
        try:
            self._executor = executor(directory / "submitit", max_num_timeout=config.restarts)
        except RuntimeError as error:
            raise UserError(f"launcher.cluster={config.cluster}: {error}; allowed here: local") from error
        self._executor.update_parameters(**(self._here() if here else self._slurm(directory.name)))

    def _here(self) -> dict[str, Any]:
        return {
            "timeout_min": self._config.minutes,
            "signal_delay_s": self._config.signal_seconds,
            "tasks_per_node": self._config.tasks_per_node,
            "gpus_per_node": self._config.gpus_per_node,
        }

    def _slurm(self, name: str) -> dict[str, Any]:
        config = self._config
        values = {
            "job_name": name,
            "partition": config.partition,
            "time": config.minutes,
            "signal_delay_s": config.signal_seconds,
            "nodes": config.nodes,
            "ntasks_per_node": config.tasks_per_node,
            "gpus_per_node": config.gpus_per_node or None,
            "cpus_per_task": config.cpus_per_task,
            "mem": config.memory_gb and f"{config.memory_gb}GB",
            "additional_parameters": config.parameters or None,
        }
        return {key: value for key, value in values.items() if value is not None}

    def start(self, job: Job, log: Path) -> Submitted:
        submitted = self._executor.submit(Train(command(job.overrides), log.absolute(), self._tasks))
        print(f"job {job.number}: submitted as {submitted.job_id}", file=sys.stderr)
        return Submitted(submitted, self._config.cluster)
