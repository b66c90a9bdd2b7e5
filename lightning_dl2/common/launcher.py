"""Read the variables by which a launcher tells a process its place: torchrun, srun, Kubernetes or a script.

Whoever needs one reads it here. So a value that cannot be is one line, wherever it would have been met first.
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
    """Return the number that `key` has; None where it is not set.

    Raises:
        UserError: it is no number, or not within its limits.
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
    """Return the number that `key` must have where `others` are set.

    Raises:
        UserError: as `number`, or it is not set.
    """
    found = number(key)
    if found is None:
        raise UserError(f"{key}: is not set, but {others}; fix: have the launcher set both, or none")
    return found


def check() -> None:
    """Raise UserError for the first variable whose value cannot be."""
    for key in LIMITS:
        number(key)
    for key, (pattern, allowed) in PATTERNS.items():
        value = os.environ.get(key)
        if value is not None and not re.fullmatch(pattern, value):
            raise UserError(f"{key}={value[:100]}: allowed: {allowed}")


def is_rank_zero() -> bool:
    """Tell it from the launcher's variables, before torch is imported or processes have met."""
    if "RANK" in os.environ:
        return number("RANK") == 0
    return not any(number(key) for key in ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def check_alone() -> None:
    """Raise UserError if a process that has no RANK is told not to be the first: it would train and write nothing."""
    for key in ("LOCAL_RANK", "SLURM_PROCID"):
        if "RANK" not in os.environ and number(key):
            raise UserError(f"{key}={number(key)}: RANK and WORLD_SIZE are not set; fix: set both, or do not set {key}")


def check_node(num_nodes: int) -> None:
    """Raise UserError if this machine is none of `num_nodes`; the others would wait for it, or it for them."""
    node = number("NODE_RANK") or 0
    if node >= num_nodes:
        raise UserError(f"NODE_RANK={node}: allowed with trainer.num_nodes={num_nodes}: {allowed_ranks(num_nodes)}")


def allowed_ranks(size: int) -> str:
    """Put the ranks of `size` processes in words."""
    return f"0 to {size - 1}" if size > 1 else "0"


LAUNCH = "LIGHTNING_DL2_LAUNCH"  # set by whatever starts a command again but does not count


def restart_ids() -> dict[str, int]:
    """What starts this command again by itself, under a name that stays, and how often it has done so."""
    counts = {"SLURM_JOB_ID": "SLURM_RESTART_COUNT", "TORCHELASTIC_RUN_ID": "TORCHELASTIC_RESTART_COUNT"}
    names = {f"{key}={os.environ[key]}": number(count) or 0 for key, count in counts.items() if key in os.environ}
    if LAUNCH in os.environ:  # a name that is used once: whoever finds it was started again
        names[f"{LAUNCH}={os.environ[LAUNCH]}"] = 1
    return names
