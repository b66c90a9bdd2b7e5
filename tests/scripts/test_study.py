"""Test the functions that the studies in scripts/ share."""

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from lightning_dl2 import compose
from lightning_dl2.common.errors import UserError
from lightning_dl2.run.directory import Run
from scripts.studies import study
from scripts.studies.reproduce_graphs import GraphStudyArguments
from scripts.studies.study import StudyArguments, read_study, train_all
from tests.processes import ForkedProcess, run_script

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SECONDS = 60.0
LONG = ("task.hidden_size=8", "trainer.max_steps=100000", "trainer.val_check_interval=100000", "trainer.num_threads=1")
STUDY = (
    "import json, sys; from scripts.studies.study import train_all;"
    " train_all(json.loads(sys.argv[1]), jobs=1, threads=1)"
)


def test_a_study_that_is_killed_leaves_no_run_behind(tmp_path):
    """The runs of a killed study save and stop, so that the study can start again at once."""
    words = [*LONG, "callbacks.progress_bar=false", "callbacks.solved.enabled=false", f"root={tmp_path}"]
    run = Run.of(compose(*words))
    study = subprocess.Popen([sys.executable, "-c", STUDY, json.dumps([words])], cwd=ROOT, stderr=subprocess.DEVNULL)
    end = time.monotonic() + SECONDS
    try:
        while not run.metrics_file.is_file() or not run.metrics_file.stat().st_size:
            assert study.poll() is None and time.monotonic() < end
            time.sleep(0.05)
    finally:
        study.kill()
        study.wait()
    while run.result() is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert run.result()["status"] == "interrupted" and run.last.is_file()


@pytest.mark.parametrize("seconds", [0.0, 0.2])  # until the interrupt
def test_an_interrupted_study_stops_what_runs_and_starts_nothing_more(tmp_path, monkeypatch, seconds):
    """`kill -INT`, which does not reach the runs as Ctrl-C does, stops them too. Processes are made up."""
    started = []

    class Made:
        exitcode = 143

        def __init__(self, target, args):
            self.ended = threading.Event()

        def start(self):
            started.append(self)
            time.sleep(seconds)

        def join(self):
            self.terminated = self.ended.wait(5)

        def terminate(self):
            self.ended.set()

    def interrupted(futures):
        while not started:
            time.sleep(0.01)
        time.sleep(0.1)
        raise KeyboardInterrupt

    monkeypatch.setattr(study.PROCESSES, "Process", Made)
    monkeypatch.setattr(study, "as_completed", interrupted)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with pytest.raises(KeyboardInterrupt):
        train_all([[f"seed={seed}", f"root={tmp_path}"] for seed in (0, 1, 2)], jobs=1, threads=1)
    assert [process.terminated for process in started] == [True]


SCRIPTS = ("studies/reproduce_palindrome", "studies/reproduce_graphs", "studies/compressors", "benchmarks/benchmark")


@pytest.mark.parametrize("name", [*SCRIPTS, "torture/torture", "torture/exactness"])
def test_every_script_tells_its_usage(name, tmp_path):
    process = ForkedProcess(target=run_script, args=(ROOT / "scripts" / f"{name}.py", ["--help"], tmp_path))
    process.start()
    process.join(SECONDS)
    stdout, stderr = (tmp_path.joinpath(name).read_text() for name in ("stdout", "stderr"))
    assert process.exitcode == 0 and not stderr and f"python scripts/{name}.py [" in stdout


@dataclass(frozen=True)
class Row:
    name: str
    seeds: int


STUDIES = {"short": lambda: [Row("palindrome 51 rnn", 3)], "long": lambda: [Row("palindrome 501 rnn", 2)]}


def test_the_rows_asked_for():
    rows, arguments = read_study(["root=there", "jobs=2"], STUDIES, GraphStudyArguments)
    assert rows == [Row("palindrome 51 rnn", 3), Row("palindrome 501 rnn", 2)]
    expected = {"root": "there", "jobs": 2, "threads": 1, "only": "all", "seeds": 0, "data": "download"}
    assert arguments.model_dump() == expected
    assert read_study(["only=51 rnn"], STUDIES, StudyArguments)[0] == [Row("palindrome 51 rnn", 3)]
    assert read_study(["long", "seeds=1"], STUDIES, StudyArguments)[0] == [Row("palindrome 501 rnn", 1)]
    assert read_study(["seeds=9"], STUDIES, StudyArguments)[0][0].seeds == 3


@pytest.mark.parametrize(
    "word, named", [("lang", "long"), ("job=1", "jobs"), ("jobs=0", "jobs=0"), ("seeds=-1", "seeds=")]
)
def test_a_study_that_there_is_not(word, named):
    with pytest.raises(UserError, match=named):
        read_study([word], STUDIES, StudyArguments)
