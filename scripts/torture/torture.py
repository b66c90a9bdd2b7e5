"""Kills runs at random moments, by random signals, and looks whether they end as those that nobody touched.

    python scripts/torture/torture.py [EXPERIMENT ...] [kills=20] [processes=1,2] [seed=0] [launch=fork] [root=DIR]

EXPERIMENT is palindrome, text, graph (the nodes of one, neighbours sampled by two workers), graphs (many), or none for
all of them. Each is trained undisturbed; then the same command is started, killed (KILL, TERM, INT or USR1, to one
process or to all, while it starts or trains), and started again, until it has been killed so many times and is
complete. Then all that the two have on the disk is compared, to the last bit: the checkpoints' tensors and counters,
metrics.csv, the result, the samples. As a negative control a third run is stopped once and goes on with one batch in
another's place: there the comparison must find differences.

launch=command types the real command and lets it start its second process; launch=fork saves its imports. What came
of it is a table in Markdown on stdout; exit code 1 if it is not as it should be.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from rich.progress import Progress  # noqa: E402

from lightning_dl2 import compose  # noqa: E402
from lightning_dl2.common.arguments import choice, natural, naturals  # noqa: E402
from lightning_dl2.common.command import command, console, doc_of, settings  # noqa: E402
from lightning_dl2.common.errors import UserError, nearest  # noqa: E402
from lightning_dl2.run.directory import Run  # noqa: E402
from scripts.studies.study import markdown  # noqa: E402
from scripts.torture.run_until_killed import Life  # noqa: E402
from scripts.torture.small_runs import EXPERIMENTS, words_of  # noqa: E402
from tests.comparison import contents, differing  # noqa: E402

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
AT_START = 0.2  # share of the signals that come before the first step
HEADER = ("experiment", "processes", "steps", "kills", *(number.name[3:] for number in SIGNALS), "at the start",
          "in a checkpoint", "helped", "values", "differing", "in the control", "seconds")  # fmt: skip


@dataclass
class Tally:
    """What has been done to a run."""

    kills: Counter[str] = field(default_factory=Counter)  # by signal
    at_start: int = 0
    in_checkpoint: int = 0  # a file that was being written is left behind
    helped: int = 0  # ends at which a launcher had to end the other processes


class Torture:
    """One experiment in so many processes.

    Args:
        name: of EXPERIMENTS.
        processes: that train together.
        directory: for all of its runs.
        launch: of `Life`.
        rng: decides when which signal is sent to whom.
    """

    def __init__(self, name: str, processes: int, directory: Path, launch: str, rng: random.Random) -> None:
        self.directory, self.launch, self.rng = directory, launch, rng
        self.processes, self.deck = processes, []
        self.words = words_of(name, processes, directory)
        self.trainer = compose(*self.words).trainer
        self.steps, self.tally = self.trainer.max_steps, Tally()
        self.seconds_to_start = self.seconds_a_step = 0.0

    def in_root(self, name: str, *words: str) -> tuple[list[str], Run]:
        words = [*self.words, f"root={self.directory / name}", *words]
        return words, Run.of(compose(*words))

    def live(self, words: list[str], **options: Any) -> Life:
        return Life(words, self.directory / "said", self.processes, **{"launch": self.launch} | options)

    def whole(self) -> Run:
        """The run that nothing stopped; it tells how long things take."""
        words, run = self.in_root("whole")
        began, life = time.monotonic(), self.live(words)
        while not step_of(run) and not life.has_ended():
            time.sleep(0.001)
        self.seconds_to_start = time.monotonic() - began
        run = self.completed(run, life)
        self.seconds_a_step = (time.monotonic() - began - self.seconds_to_start) / self.steps
        return run

    def killed(self, kills: int, name: str) -> Run:
        """A run that is killed until the tally has so many kills, or it is complete."""
        words, run = self.in_root(name)
        highest = 0
        while True:
            life, left = self.live(words), kills - self.tally.kills.total()
            if not left:
                break
            share = self.rng.uniform(0, 2) * (self.steps - highest) / (left + 1)
            target = min(highest + 1 + int(share), self.steps - 1)
            at_start = self.rng.random() < AT_START or target <= highest
            moment = time.monotonic() + self.rng.uniform(0, self.seconds_to_start)
            while not life.has_ended() and (time.monotonic() < moment if at_start else step_of(run) < target):
                time.sleep(0.001)
            time.sleep(self.rng.uniform(0, 2 * self.seconds_a_step))
            if life.has_ended():
                break
            self.kill(life, run, at_start)
            highest = max(highest, step_of(run))
        return self.completed(run, life)

    def kill(self, life: Life, run: Run, at_start: bool) -> None:
        self.deck = self.deck or self.rng.sample(SIGNALS, len(SIGNALS))  # of each as many
        number, everybody = self.deck.pop(), list(range(len(life.processes)))
        ranks = everybody if self.rng.random() < 0.5 else [self.rng.choice(everybody)]
        life.send(number, ranks, group=self.rng.random() < 0.5)
        self.tally.helped += not life.wait()
        self.tally.kills[number.name] += 1
        self.tally.at_start += at_start
        self.tally.in_checkpoint += any(run.checkpoints.glob(".*.tmp"))
        allowed = {0, 128 + number, 75, -number}
        if not at_start and self.processes == 1 and not allowed.issuperset(life.codes):
            raise SystemExit(f"{number.name} ended {run.path} with {life.codes}: {life.said.read_text('utf-8')}")

    def control(self) -> Run:
        """A run that is stopped in the middle and goes on with one batch in another's place."""
        half = self.steps // 2
        words, run = self.in_root("control", f"trainer.max_steps={half}")
        self.completed(run, self.live(words))
        life = self.live(self.in_root("control")[0], launch="fork", shifted=half * self.trainer.accumulate_grad_batches)
        return self.completed(run, life)

    def completed(self, run: Run, life: Life) -> Run:
        """The run, when this life of it has ended as it should."""
        life.wait()
        if any(life.codes) or (run.result() or {}).get("status") != "completed":
            raise SystemExit(f"{run.path} did not get to its end, {life.codes}: {life.said.read_text('utf-8')}")
        return run


def step_of(run: Run) -> int:
    """The last step in metrics.csv; 0 where there is none yet."""
    try:
        with open(run.metrics_file, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            *_, last, _ = [b"", *file.read().split(b"\n")]
            return int(last.split(b",")[0])
    except (FileNotFoundError, ValueError):
        return 0


def torture(name: str, processes: int, kills: int, seed: int, launch: str, directory: Path, told: Any) -> list[str]:
    """A line of the table."""
    began = time.monotonic()
    one = Torture(name, processes, directory, launch, random.Random(f"{seed} {name} {processes} {launch}"))
    told(0, "trains undisturbed")
    expected = contents(one.whole())
    wrong: list[str] = []
    for attempt in count():
        told(one.tally.kills.total(), "is killed")
        wrong += differing(expected, contents(one.killed(kills, f"killed-{attempt}")))
        if one.tally.kills.total() >= kills:
            break
    told(kills, "is changed")
    control = differing(expected, contents(one.control()))
    tally, seconds = one.tally, time.monotonic() - began
    for place in wrong[:20]:
        print(f"{name}, {processes} process(es): {place} differs", file=sys.stderr)
    shown = [name, processes, one.steps, tally.kills.total(), *(tally.kills[number.name] for number in SIGNALS)]
    shown += [tally.at_start, tally.in_checkpoint, tally.helped, len(expected), len(wrong), len(control)]
    return [str(value) for value in (*shown, round(seconds))]


def main(argv: list[str] | None = None) -> int:
    return command(_main, argv, __doc__ or doc_of(__file__))


def _main(words: list[str]) -> int:
    values = settings(
        [word for word in words if "=" in word],
        **{"kills": "20", "processes": "1,2", "seed": "0", "launch": "fork", "root": tempfile.gettempdir()},
    )
    names = [word for word in words if "=" not in word] or list(EXPERIMENTS)
    for name in names:
        if name not in EXPERIMENTS:
            raise UserError(f"{name}: {nearest(name, list(EXPERIMENTS))}")
    launch = choice(values, "launch", ("fork", "command"))
    kills, seed, lines = natural(values, "kills", least=1), natural(values, "seed"), []
    counts = naturals(values, "processes", least=1)
    os.environ["OMP_NUM_THREADS"] = "1"  # before the first process, which the others are forked from
    Path(values["root"]).mkdir(parents=True, exist_ok=True)
    print(markdown(HEADER, []))
    with Progress(console=console(stderr=True)) as progress:
        for processes in counts:
            for name in names:
                directory = Path(tempfile.mkdtemp(prefix=f"torture-{name}-", dir=values["root"]))
                bar = progress.add_task(name, total=kills)

                def told(done: int, what: str, bar: Any = bar, title: str = f"{name}, {processes} process(es)") -> None:
                    progress.update(bar, completed=done, description=f"{title} {what}")

                lines.append(torture(name, processes, kills, seed, launch, directory, told))
                print(f"| {' | '.join(lines[-1])} |", flush=True)
                if lines[-1][HEADER.index("differing")] == "0":
                    shutil.rmtree(directory)
    cells = [dict(zip(HEADER, line, strict=True)) for line in lines]
    return 0 if all(cell["differing"] == "0" != cell["in the control"] for cell in cells) else 1


if __name__ == "__main__":
    sys.exit(main())
