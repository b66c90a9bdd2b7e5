"""What the studies in scripts/ share."""

import json
import subprocess
import sys
import time
from pathlib import Path

from lightning_dl2 import compose
from lightning_dl2.run import Run

ROOT = Path(__file__).parent.parent
SECONDS = 60.0
LONG = ("task.hidden_size=8", "trainer.max_steps=100000", "trainer.val_check_interval=100000", "trainer.num_threads=1")
STUDY = "import json, sys; from scripts.study import train_all; train_all(json.loads(sys.argv[1]), jobs=1, threads=1)"


def test_a_study_that_is_killed_leaves_no_run_behind(tmp_path):
    """The run saves and stops, so that the study can be started again at once."""
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
