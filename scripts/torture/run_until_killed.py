"""Start the processes of a run, send them signals, and wait until all have ended."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from lightning_dl2.train import main  # noqa: E402
from scripts.studies.study import PROCESSES  # noqa: E402

GRACE = 5.0  # seconds that the other ranks have to end by themselves after a rank has died
LAST_GRACE = 20.0  # seconds that they have after SIGTERM


class RunStart:
    """One start of `python -m lightning_dl2.train overrides...`, in one or more processes with a process group each.

    Args:
        overrides: arguments of the command.
        output: file for stdout and stderr.
        processes: number of ranks; environment variables tell each its rank, as torchrun does.
        launch: "fork" forks from a process that has loaded torch; "command" runs the command, which starts its ranks.
        replaced: number of the training batch that this start replaces by the next one; None for no replacement.
    """

    def __init__(
        self, overrides: list[str], output: Path, processes: int = 1, launch: str = "fork", replaced: int | None = None
    ) -> None:
        self.output = output
        if launch == "command":
            command = [sys.executable, "-m", "lightning_dl2.train", *overrides]
            paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]  # the current directory may be another
            own = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
            with open(output, "w", encoding="utf-8") as file:
                started = subprocess.Popen(command, env=own, stdout=file, stderr=file, start_new_session=True)
            self.processes: list = [started]
            return
        self.processes = []
        port = _find_free_port()
        for rank in range(processes):
            ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
            ranks |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            own = {key: str(value) for key, value in ranks.items()} if processes > 1 else {}
            process = PROCESSES.Process(target=_run_rank, args=(overrides, output, own, replaced))
            process.start()
            self.processes.append(process)

    @property
    def codes(self) -> list[int | None]:
        """Exit codes; None for a process that still runs."""
        return [p.poll() if isinstance(p, subprocess.Popen) else p.exitcode for p in self.processes]

    def has_ended(self) -> bool:
        return None not in self.codes

    def send(self, number: signal.Signals, ranks: list[int], *, group: bool) -> None:
        """Send a signal to these ranks; with `group` also to their children, such as a loader's workers."""
        for rank in ranks:
            _send(self.processes[rank].pid, number, group=group)

    def wait(self) -> bool:
        """Wait for the end as a launcher does; return False if a process had to be terminated or killed."""
        help_at = kill_at = float("inf")
        helped = False
        while not self.has_ended() or any(_is_alive(process.pid) for process in self.processes):
            now = time.monotonic()
            if help_at == float("inf") and any(code is not None for code in self.codes):
                help_at, kill_at = now + GRACE, now + GRACE + LAST_GRACE
            if now > help_at and not helped or now > kill_at:
                helped = True
                for process in self.processes:
                    _send(process.pid, signal.SIGKILL if now > kill_at else signal.SIGTERM, group=True)
            time.sleep(0.005)
        return not helped


def _run_rank(overrides: list[str], output: Path, environment: dict[str, str], replaced: int | None) -> None:
    os.setpgid(0, 0)
    os.environ.update(environment)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if replaced is not None:
        _replace_batch(replaced)
    sys.exit(main(overrides))


def _replace_batch(number: int) -> None:
    from lightning_dl2.resume.train_batches import TrainBatches

    maker = TrainBatches.maker
    TrainBatches.maker = lambda self, data: lambda step: maker(self, data)(step + (step == number))


def _find_free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _send(pid: int, number: signal.Signals, *, group: bool) -> None:
    try:
        (os.killpg if group else os.kill)(pid, number)
    except ProcessLookupError:  # the process has just ended, or has no group yet
        pass


def _is_alive(group: int) -> bool:
    """Return whether any process of the group still runs."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
