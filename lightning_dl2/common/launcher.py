"""Read the variables by which a launcher (torchrun, srun, Kubernetes or a script) gives a process its rank.

All code reads them here, so that an impossible value is one line, wherever it is read first.
"""

import os
import re

from lightning_dl2.common.errors import UserError

PROCESSES = 1_000_000  # more than any run has
RANKS = (
    "RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "JSM_NAMESPACE_RANK",
    "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID",
)  # fmt: skip
SIZES = ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")
JOBS = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")
STARTS = ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")
LIMITS = {
    **dict.fromkeys(RANKS, (0, PROCESSES - 1)),
    **dict.fromkeys(SIZES, (1, PROCESSES)),
    **dict.fromkeys(JOBS, (0, 2**32 - 1)),
    **dict.fromkeys(STARTS, (0, 2**32 - 1)),
    "MASTER_PORT": (1, 65535),
}
PATTERNS = {
    "MASTER_ADDR": (r"[\w.:%-]{1,253}", "a host's name or address"),
    "TORCHELASTIC_RUN_ID": (r"[^\n\r]+", "one line"),
    "TORCHELASTIC_USE_AGENT_STORE": (r"True|False", "True, False"),
}


def number(key: str) -> int | None:
    """Return the value of the variable `key`; None if it is not set.

    Raises:
        UserError: it is not a number within its limits.
    """
    value = os.environ.get(key)
    if value is None:
        return None
    least, most = LIMITS[key]
    # Not int() alone: it takes other scripts' digits, signs, blanks, and no more than 4300 digits.
    if not re.fullmatch(r"[0-9]{1,10}", value) or not least <= int(value) <= most:
        raise UserError(f"{key}={value[:100]}: allowed: {least} to {most}")
    return int(value)


def required(key: str, others: str) -> int:
    """Return the value of the variable `key`, which must be set because `others` are.

    Raises:
        UserError: it is not set, or not a number within its limits.
    """
    found = number(key)
    if found is None:
        raise UserError(f"{key}: is not set, but {others}; fix: have the launcher set both, or none")
    return found


def check() -> None:
    """Raise UserError for the first variable with an impossible value."""
    for key in LIMITS:
        number(key)
    for key, (pattern, allowed) in PATTERNS.items():
        value = os.environ.get(key)
        if value is not None and not re.fullmatch(pattern, value):
            raise UserError(f"{key}={value[:100]}: allowed: {allowed}")


def is_rank_zero() -> bool:
    """Tell whether this process has rank 0, from the variables alone: torch may not be imported yet."""
    if "RANK" in os.environ:
        return number("RANK") == 0
    return not any(number(key) for key in ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def check_alone() -> None:
    """Raise UserError if a process without RANK has another rank than 0: it would train but write nothing."""
    for key in ("LOCAL_RANK", "SLURM_PROCID"):
        if "RANK" not in os.environ and number(key):
            raise UserError(f"{key}={number(key)}: RANK and WORLD_SIZE are not set; fix: set both, or do not set {key}")


def check_node(num_nodes: int) -> None:
    """Raise UserError if NODE_RANK is not below `num_nodes`: the processes would wait for each other."""
    node = number("NODE_RANK") or 0
    if node >= num_nodes:
        raise UserError(f"NODE_RANK={node}: allowed with trainer.num_nodes={num_nodes}: {allowed_ranks(num_nodes)}")


def allowed_ranks(size: int) -> str:
    """Return the ranks of `size` processes as a text."""
    return f"0 to {size - 1}" if size > 1 else "0"


LAUNCH = "LIGHTNING_DL2_LAUNCH"  # set by a launcher that restarts a command without counting


def restart_ids() -> dict[str, int]:
    """Map the id of each scheduler that may restart this command to the number of its restarts so far."""
    counts = {"SLURM_JOB_ID": "SLURM_RESTART_COUNT", "TORCHELASTIC_RUN_ID": "TORCHELASTIC_RESTART_COUNT"}
    names = {f"{key}={os.environ[key]}": number(count) or 0 for key, count in counts.items() if key in os.environ}
    if LAUNCH in os.environ:  # used once: a process that finds it recorded was restarted
        names[f"{LAUNCH}={os.environ[LAUNCH]}"] = 1
    return names
