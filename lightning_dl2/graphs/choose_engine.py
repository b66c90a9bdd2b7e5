"""Choose the engine that computes on a graph: DGL where it is available, else torch."""

import logging
from functools import cache

import torch

from lightning_dl2.graphs.import_dgl import dgl_available, dgl_has_cuda, why_no_dgl

ENGINES = ("auto", "dgl", "torch")

logger = logging.getLogger(__name__)


def resolve_engine(name: str, device: torch.device | str) -> str:
    """Resolve one of ENGINES to "dgl" or "torch" for graphs on `device`; log each choice of "auto" once a process.

    Raises:
        ValueError: another name, or "dgl" where it is not available.
    """
    if name not in ENGINES:
        raise ValueError(f"engine={name}; allowed: {', '.join(ENGINES)}")
    if name == "torch":
        return name
    kind = torch.device(device).type
    obstacle = dgl_obstacle(kind)
    if name == "dgl" and obstacle:
        raise ValueError(f"engine=dgl: {obstacle}; allowed: auto, torch")
    if name == "auto":
        _log_choice(kind, obstacle)
    return "torch" if obstacle else "dgl"


def dgl_obstacle(kind: str) -> str:
    """Say why DGL cannot compute on this kind of device; empty if it can."""
    if not dgl_available():
        return why_no_dgl()
    if kind == "cpu" or (kind == "cuda" and dgl_has_cuda()):
        return ""
    return f"the installed dgl has no support for {kind}"


@cache
def _log_choice(kind: str, obstacle: str) -> None:
    logger.info("graphs on %s: engine %s", kind, f"torch ({obstacle})" if obstacle else "dgl")
