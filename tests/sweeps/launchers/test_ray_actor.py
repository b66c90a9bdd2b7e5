"""Test the actor that Ray runs on its cluster, without Ray."""

import signal
import sys
import threading

from lightning_dl2.sweeps.launchers.ray import Train

WAITS = [sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(120)"]


def test_a_stop_before_the_process_exists_is_not_lost(tmp_path):
    train = Train()
    train.stop(signal.SIGTERM)
    assert train.run(WAITS, str(tmp_path / "log"), str(tmp_path)) == 128 + signal.SIGTERM
    assert (tmp_path / "log").read_text() == ""


def test_a_stop_reaches_the_process(tmp_path):
    train, codes = Train(), []
    running = threading.Thread(target=lambda: codes.append(train.run(WAITS, str(tmp_path / "log"), str(tmp_path))))
    running.start()
    while not (tmp_path / "log").exists() or not (tmp_path / "log").read_text():
        assert running.is_alive()
    train.stop(signal.SIGTERM)
    running.join(60)
    assert codes == [-signal.SIGTERM]
