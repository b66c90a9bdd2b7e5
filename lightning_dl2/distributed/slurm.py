"""What a job of SLURM asks of its controller."""

import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from lightning_dl2.common.files import read_regular, write_text

log = logging.getLogger(__name__)

FRUITLESS_MOST = 3  # starts in a row; one may have met a preemption, three have too little time


def requeue(progressed: bool = True, counter: Path | None = None) -> None:
    """Has SLURM start this job again; does nothing where this is none.

    SLURM ends the job for it with SIGTERM, which is ignored from here on, and kills what is left some seconds later.
    So call it on one rank, last of all, with the result on the disk. Where SLURM refuses, one line says so; likewise
    when the third start in a row made no progress, as with a time limit that ends before the first step: such a job
    would be requeued for ever.

    Args:
        progressed: whether this start has come further than the one before.
        counter: a file for the number of starts in a row that have not; it is there only between such starts.
    """
    if "SLURM_JOB_ID" not in os.environ:
        return
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in os.environ:  # one task's own id is that of the whole array, all of which would go
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    if counter and _fruitless(progressed, counter) >= FRUITLESS_MOST:
        counter.unlink()  # started by hand it gets as many starts again
        _warn(job, f"{FRUITLESS_MOST} starts in a row came no step further; allowed: a longer time limit")
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
    """How many starts in a row, with this one, came no further."""
    if progressed:
        counter.unlink(missing_ok=True)
        return 0
    told = (read_regular(counter) or b"").strip()
    number = 1 + (int(told) if told.isdigit() and len(told) < 9 else 0)
    write_text(counter, f"{number}\n")
    return number


def _warn(job: str, why: object) -> None:
    text = f"warning: job {job} is not requeued: {' '.join(str(why).split())}"
    log.warning(text)
    print(text, file=sys.stderr)
