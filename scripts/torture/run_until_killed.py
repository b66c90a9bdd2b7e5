"""One life of a run: its processes, from their start to an end that may come early."""

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

GRACE = 5.0  # seconds in which the others are to end by themselves when a process has died
LAST_GRACE = 20.0  # and after they were told to end


class Life:
    """`python -m lightning_dl2.train words...` in one process or more, each with a group of its own.

    Args:
        words: of the command.
        said: a file for what it says.
        processes: how many; told their ranks by environment variables, as torchrun does.
        launch: "fork", from a process that has torch loaded; "command", as it is typed: then it starts its own others.
        shifted: the number of a training batch in whose place this life takes the next one; None: none.
    """

    def __init__(
        self, words: list[str], said: Path, processes: int = 1, launch: str = "fork", shifted: int | None = None
    ) -> None:
        self.said = said
        if launch == "command":
            command = [sys.executable, "-m", "lightning_dl2.train", *words]
            with open(said, "w", encoding="utf-8") as file:
                started = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file, start_new_session=True)
            self.processes: list = [started]
            return
        self.processes = []
        port = _free_port()
        for rank in range(processes):
            ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
            ranks |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            own = {key: str(value) for key, value in ranks.items()} if processes > 1 else {}
            process = PROCESSES.Process(target=_live, args=(words, said, own, shifted))
            process.start()
            self.processes.append(process)

    @property
    def codes(self) -> list[int | None]:
        """The exit codes; None of what still lives."""
        return [p.poll() if isinstance(p, subprocess.Popen) else p.exitcode for p in self.processes]

    def has_ended(self) -> bool:
        return None not in self.codes

    def send(self, number: signal.Signals, ranks: list[int], *, group: bool) -> None:
        """To these processes, or with all that they have started, such as a loader's workers."""
        for rank in ranks:
            _send(self.processes[rank].pid, number, group=group)

    def wait(self) -> bool:
        """Waits for the end as a launcher does; False if it had to help, or to clear away what was left behind."""
        help_at = kill_at = float("inf")
        helped = False
        while not self.has_ended() or any(_lives(process.pid) for process in self.processes):
            now = time.monotonic()
            if help_at == float("inf") and any(code is not None for code in self.codes):
                help_at, kill_at = now + GRACE, now + GRACE + LAST_GRACE
            if now > help_at and not helped or now > kill_at:
                helped = True
                for process in self.processes:
                    _send(process.pid, signal.SIGKILL if now > kill_at else signal.SIGTERM, group=True)
            time.sleep(0.005)
        return not helped


def _live(words: list[str], said: Path, environment: dict[str, str], shifted: int | None) -> None:
    os.setpgid(0, 0)
    os.environ.update(environment)
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if shifted is not None:
        _shift(shifted)
    sys.exit(main(words))


def _shift(number: int) -> None:
    from lightning_dl2.resume.train_batches import TrainBatches

    maker = TrainBatches.maker
    TrainBatches.maker = lambda self, data: lambda step: maker(self, data)(step + (step == number))


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _send(pid: int, number: signal.Signals, *, group: bool) -> None:
    try:
        (os.killpg if group else os.kill)(pid, number)
    except ProcessLookupError:  # it has just ended, or has no group yet
        pass


def _lives(group: int) -> bool:
    """Whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
