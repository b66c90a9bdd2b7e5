"""Ask SLURM's controller to start this job again."""

import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from lightning_dl2.common.files import read_regular, write_text

log = logging.getLogger(__name__)

FRUITLESS_MOST = 3  # starts in a row without a step; one may have met a preemption, three have too little time


def requeue(progressed: bool = True, counter: Path | None = None) -> None:
    """Let SLURM start this job again; do nothing outside of a job.

    To do so, SLURM ends the job with SIGTERM, which is ignored from here on, and kills its processes some seconds
    later. So call this on one rank, last of all, with the result on the disk. Where SLURM refuses, one line says so;
    likewise after the third start in a row without progress, as with a time limit that ends before the first step:
    such a job would be requeued for ever.

    Args:
        progressed: whether this start has come further than the one before.
        counter: a file for the number of starts in a row that have not; it exists only between such starts.
    """
    if "SLURM_JOB_ID" not in os.environ:
        return
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in os.environ:  # a task's own id may stand for the whole array, which would be requeued
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    if counter and _fruitless(progressed, counter) >= FRUITLESS_MOST:
        counter.unlink()  # a job that is started by hand has as many starts again
        _warn(job, f"{FRUITLESS_MOST} starts in a row came no step further; fix: use a longer time limit")
        return
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        subprocess.run(
            ["scontrol", "requeue", job],
            check=True,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError) as error:
        _warn(job, getattr(error, "stderr", None) or error)
    else:
        log.info("job %s is requeued", job)


def _fruitless(progressed: bool, counter: Path) -> int:
    """Count the starts in a row, with this one, that came no further."""
    if progressed:
        counter.unlink(missing_ok=True)
        return 0
    content = (read_regular(counter) or b"").strip()
    number = 1 + (int(content) if content.isdigit() and len(content) < 9 else 0)
    write_text(counter, f"{number}\n")
    return number


def _warn(job: str, why: object) -> None:
    text = f"warning: job {job} is not requeued: {' '.join(str(why).split())}"
    log.warning(text)
    print(text, file=sys.stderr)
