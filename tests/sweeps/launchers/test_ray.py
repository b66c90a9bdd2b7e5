"""Test jobs that Ray starts on a cluster of this machine."""

import signal
import sys
import time

import pytest

ray = pytest.importorskip("ray", reason="ray is not installed")

from lightning_dl2.config.compose import compose_multirun  # noqa: E402
from lightning_dl2.sweeps.jobs import Job  # noqa: E402
from lightning_dl2.sweeps.launchers import ray as launcher  # noqa: E402

CODE = """
import signal, sys, time
def save(number, frame):
    print("saved", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
print(*sys.argv[1:], flush=True)
if sys.argv[1] == "seed=1":
    sys.exit(7)
time.sleep(120)
"""


@pytest.fixture(autouse=True)
def end():
    yield
    ray.shutdown()


def test_exit_codes_and_a_signal(tmp_path, monkeypatch):
    monkeypatch.setattr(launcher, "command", lambda overrides: [sys.executable, "-c", CODE, *overrides])
    started = launcher.RayLauncher(compose_multirun("launcher=ray").launcher)
    one, two = (started.start(Job(seed, {}, [f"seed={seed}"]), tmp_path / f"{seed}.log") for seed in (1, 2))
    deadline = time.monotonic() + 120
    while one.poll() is None or not (tmp_path / "2.log").exists() or not (tmp_path / "2.log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert one.poll() == 7 and two.poll() is None
    two.stop(signal.SIGTERM)
    while two.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert two.poll() == 143 and (tmp_path / "2.log").read_text() == "seed=2\nsaved\n"
