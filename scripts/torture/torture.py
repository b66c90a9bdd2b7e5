"""Kill runs at random moments by random signals, resume them, and compare them with uninterrupted runs.

    python scripts/torture/torture.py [EXPERIMENT ...] [kills=20] [processes=1,2] [seed=0] [launch=fork] [root=DIR]
    python scripts/torture/torture.py EXPERIMENT config_dir=DIR [workers=0,2] [signals=KILL] [trainer.max_steps=90 ...]

EXPERIMENT is palindrome, text, graph (nodes of one graph, neighbours sampled by two workers) or graphs (many graphs);
by default all. Any other name is an experiment of config_dir, LIGHTNING_DL2_CONF or the package. For your own, start
the script in your project's directory. A word whose key has a dot, such as trainer.max_steps=90, is an override of the
runs. `workers` sets data.num_workers, one run after another.

Each experiment trains once without interruption. Then the same command is started, killed (by `signals`, by default
KILL, TERM, INT and USR1, to one or all processes, during start or training) and started again, until it has been
killed `kills` times and is complete. The script compares all files of the two runs to the last bit: tensors and
counters of the checkpoints, metrics.csv, the result, the samples. A third run is the negative control: it resumes once
with one batch replaced by another, and the comparison must find differences.

launch=command runs the real command, which starts its own ranks; launch=fork saves the imports. Stdout has a table in
Markdown. The exit code is 1 if a killed run differs or the control does not.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count, product
from pathlib import Path
from typing import Annotated, Any, Literal

sys.path.insert(0, str(Path(__file__).parents[2]))

from rich.progress import Progress  # noqa: E402

from lightning_dl2 import compose  # noqa: E402
from lightning_dl2.common.arguments import AnyPath, Arguments, Text, choices, parse, split_names, whole, wholes  # noqa: E402
from lightning_dl2.common.command import command, console, read_docstring  # noqa: E402
from lightning_dl2.config.conf_files import options, take_config_dir, use_conf_dir  # noqa: E402
from lightning_dl2.run.directory import Run  # noqa: E402
from scripts.studies.study import format_markdown  # noqa: E402
from scripts.torture.run_until_killed import RunStart  # noqa: E402
from scripts.torture.small_runs import EXPERIMENTS, overrides_of  # noqa: E402
from tests.comparison import contents, differing  # noqa: E402

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
NAMES = tuple(number.name[3:] for number in SIGNALS)
AT_START = 0.2  # share of the signals sent before the first step
HEADER = ("experiment", "processes", "steps", "kills", *NAMES, "at the start", "in a checkpoint", "helped", "values",
          "differing", "in the control", "seconds")  # fmt: skip


class TortureArguments(Arguments):
    """Hold the key=value arguments of the script."""

    kills: Annotated[int, whole(1)] = 20
    processes: Annotated[tuple[int, ...], wholes(1)] = (1, 2)
    seed: Annotated[int, whole()] = 0
    launch: Literal["fork", "command"] = "fork"
    signals: Annotated[tuple[str, ...], choices(NAMES)] = NAMES
    workers: Annotated[tuple[int, ...], wholes()] = ()
    config_dir: Text = ""
    root: AnyPath = Path(tempfile.gettempdir())


@dataclass
class Tally:
    """Count the kills of a run by kind."""

    kills: Counter[str] = field(default_factory=Counter)  # by signal
    at_start: int = 0
    in_checkpoint: int = 0  # kills that left a half-written file
    helped: int = 0  # kills after which the launcher had to end the other processes


class Torture:
    """Train one experiment on several ranks: uninterrupted, killed, and changed.

    Args:
        name: an experiment.
        processes: number of ranks.
        directory: parent of all runs.
        launch: see `RunStart`.
        rng: draws the moment, signal and target of each kill.
        signals: kinds of kills.
        further: overrides of the runs, beside those of `overrides_of`.
    """

    def __init__(
        self,
        name: str,
        processes: int,
        directory: Path,
        launch: str,
        rng: random.Random,
        signals: Sequence[signal.Signals] = SIGNALS,
        further: Sequence[str] = (),
    ) -> None:
        self.directory, self.launch, self.rng, self.signals = directory, launch, rng, signals
        self.processes, self.deck = processes, []
        self.overrides = [*overrides_of(name, processes, directory), *further]
        self.trainer = compose(*self.overrides).trainer
        self.steps, self.tally = self.trainer.max_steps, Tally()
        self.seconds_to_start = self.seconds_a_step = 0.0
        self.logs_steps = True  # whether metrics.csv shows how far a run is

    def in_root(self, name: str, *overrides: str) -> tuple[list[str], Run]:
        overrides = [*self.overrides, f"root={self.directory / name}", *overrides]
        return overrides, Run.of(compose(*overrides))

    def start(self, overrides: list[str], **options: Any) -> RunStart:
        return RunStart(overrides, self.directory / "output", self.processes, **{"launch": self.launch} | options)

    def train_whole(self) -> Run:
        """Train the uninterrupted run, and measure the time of the start and of a step."""
        overrides, run = self.in_root("whole")
        began, start = time.monotonic(), self.start(overrides)
        while not last_step(run) and not run.last.exists() and not start.has_ended():
            time.sleep(0.001)
        self.seconds_to_start = time.monotonic() - began
        run = self.wait_for(run, start)
        self.steps = run.result()["steps"]
        self.seconds_a_step = (time.monotonic() - began - self.seconds_to_start) / self.steps
        self.logs_steps = last_step(run) > 0
        return run

    def train_killed(self, kills: int, name: str) -> Run:
        """Train a run and kill it until the tally has `kills` kills or the run is complete."""
        overrides, run = self.in_root(name)
        highest = 0
        while True:
            start, left = self.start(overrides), kills - self.tally.kills.total()
            if not left:
                break
            share = self.rng.uniform(0, 2) * (self.steps - highest) / (left + 1)
            target = min(highest + 1 + int(share), self.steps - 1)
            at_start = self.rng.random() < AT_START or target <= highest
            moment = time.monotonic() + self.rng.uniform(0, self.seconds_to_start)
            by_clock = at_start or not self.logs_steps
            if not at_start and not self.logs_steps:
                moment = time.monotonic() + self.seconds_to_start + (target - highest) * self.seconds_a_step
            while not start.has_ended() and (time.monotonic() < moment if by_clock else last_step(run) < target):
                time.sleep(0.001)
            time.sleep(self.rng.uniform(0, 2 * self.seconds_a_step))
            if start.has_ended():
                break
            self.kill(start, run, at_start)
            highest = max(highest, last_step(run) if self.logs_steps else saved_step(run))
        return self.wait_for(run, start)

    def kill(self, start: RunStart, run: Run, at_start: bool) -> None:
        self.deck = self.deck or self.rng.sample(self.signals, len(self.signals))  # each signal equally often
        number, everybody = self.deck.pop(), list(range(len(start.processes)))
        ranks = everybody if self.rng.random() < 0.5 else [self.rng.choice(everybody)]
        start.send(number, ranks, group=self.rng.random() < 0.5)
        self.tally.helped += not start.wait()
        self.tally.kills[number.name] += 1
        self.tally.at_start += at_start
        self.tally.in_checkpoint += any(run.checkpoints.glob(".*.tmp"))
        allowed = {0, 128 + number, 75, -number}
        if not at_start and self.processes == 1 and not allowed.issuperset(start.codes):
            raise SystemExit(
                f"{number.name}: exit codes {start.codes} of {run.path}: {start.output.read_text('utf-8')}"
            )

    def train_control(self) -> Run:
        """Train the negative control: stop in the middle, resume with one batch replaced by another."""
        half = self.steps // 2
        overrides, run = self.in_root("control", f"trainer.max_steps={half}")
        self.wait_for(run, self.start(overrides))
        start = self.start(
            self.in_root("control")[0], launch="fork", replaced=half * self.trainer.accumulate_grad_batches
        )
        return self.wait_for(run, start)

    def wait_for(self, run: Run, start: RunStart) -> Run:
        """Wait for `start` and return the run; raise SystemExit if the run is not complete."""
        start.wait()
        if any(start.codes) or (run.result() or {}).get("status") != "completed":
            raise SystemExit(
                f"{run.path} did not complete, exit codes {start.codes}: {start.output.read_text('utf-8')}"
            )
        return run


def last_step(run: Run) -> int:
    """Return the last step in metrics.csv; 0 if the file has none yet."""
    try:
        with open(run.metrics_file, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            *_, last, _ = [b"", *file.read().split(b"\n")]
            return int(last.split(b",")[0])
    except (FileNotFoundError, ValueError):
        return 0


def saved_step(run: Run) -> int:
    """Return the step of last.ckpt; 0 if there is none yet."""
    if not run.last.exists():
        return 0
    import torch

    return torch.load(run.last, weights_only=True)["global_step"]


def torture(
    name: str,
    processes: int,
    kills: int,
    seed: int,
    launch: str,
    directory: Path,
    told: Any,
    signals: Sequence[signal.Signals] = SIGNALS,
    further: Sequence[str] = (),
) -> list[str]:
    """Train and compare one experiment; return its row of the table."""
    began = time.monotonic()
    rng = random.Random(f"{seed} {name} {processes} {launch}")
    one = Torture(name, processes, directory, launch, rng, signals, further)
    told(0, "trains undisturbed")
    expected = contents(one.train_whole())
    wrong: list[str] = []
    for attempt in count():
        told(one.tally.kills.total(), "is killed")
        wrong += differing(expected, contents(one.train_killed(kills, f"killed-{attempt}")))
        if one.tally.kills.total() >= kills:
            break
    told(kills, "is changed")
    control = differing(expected, contents(one.train_control()))
    tally, seconds = one.tally, time.monotonic() - began
    for place in wrong[:20]:
        print(f"{name}, {processes} process(es): {place} differs", file=sys.stderr)
    shown = [name, processes, one.steps, tally.kills.total(), *(tally.kills[f"SIG{number}"] for number in NAMES)]
    shown += [tally.at_start, tally.in_checkpoint, tally.helped, len(expected), len(wrong), len(control)]
    return [str(value) for value in (*shown, round(seconds))]


def main(argv: list[str] | None = None) -> int:
    return command(_main, argv, __doc__ or read_docstring(__file__))


def _main(argv: list[str]) -> int:
    argv = take_config_dir(argv)
    further = [word for word in argv if "." in word.partition("=")[0]]
    rest = [word for word in argv if word not in further]
    arguments = parse(TortureArguments, [word for word in rest if "=" in word])
    if arguments.config_dir:
        use_conf_dir(arguments.config_dir)
    named = any("=" not in word for word in rest)
    names, _ = split_names(rest, [*EXPERIMENTS, *options("experiment")] if named else EXPERIMENTS)
    kills, seed, launch, lines = arguments.kills, arguments.seed, arguments.launch, []
    signals = [number for number in SIGNALS if number.name[3:] in arguments.signals]
    os.environ["OMP_NUM_THREADS"] = "1"  # before the first process, from which all others are forked
    arguments.root.mkdir(parents=True, exist_ok=True)
    print(format_markdown(HEADER, []))
    with Progress(console=console(stderr=True)) as progress:
        for processes, name, workers in product(arguments.processes, names, arguments.workers or (None,)):
            directory = Path(tempfile.mkdtemp(prefix=f"torture-{name.replace('/', '-')}-", dir=arguments.root))
            own = further if workers is None else [*further, f"data.num_workers={workers}"]
            title = name if workers is None else f"{name}, {workers} workers"
            bar = progress.add_task(name, total=kills)

            def told(done: int, what: str, bar: Any = bar, title: str = f"{title}, {processes} process(es)") -> None:
                progress.update(bar, completed=done, description=f"{title} {what}")

            line = torture(name, processes, kills, seed, launch, directory, told, signals, own)
            lines.append([title, *line[1:]])
            print(f"| {' | '.join(lines[-1])} |", flush=True)
            if lines[-1][HEADER.index("differing")] == "0":
                shutil.rmtree(directory)
    cells = [dict(zip(HEADER, line, strict=True)) for line in lines]
    return 0 if all(cell["differing"] == "0" != cell["in the control"] for cell in cells) else 1


if __name__ == "__main__":
    sys.exit(main())
