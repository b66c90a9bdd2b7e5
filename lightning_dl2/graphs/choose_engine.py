"""Which engine computes on a graph: DGL where it can be had, else torch."""

import logging
from functools import cache

import torch

from lightning_dl2.graphs.import_dgl import dgl_available, dgl_has_cuda, why_no_dgl

ENGINES = ("auto", "dgl", "torch")

logger = logging.getLogger(__name__)


def resolve_engine(name: str, device: torch.device | str) -> str:
    """ "auto", "dgl" or "torch" -> "dgl" or "torch" for graphs on `device`. Logs each choice of auto once a process.

    Raises:
        ValueError: for another name, or for "dgl" where that cannot be had.
    """
    if name not in ENGINES:
        raise ValueError(f"engine={name}; allowed: {', '.join(ENGINES)}")
    if name == "torch":
        return name
    kind = torch.device(device).type
    obstacle = _obstacle(kind)
    if name == "dgl" and obstacle:
        raise ValueError(f"engine=dgl: {obstacle}; allowed: auto, torch")
    if name == "auto":
        _log_choice(kind, obstacle)
    return "torch" if obstacle else "dgl"


def _obstacle(kind: str) -> str:
    """Why DGL cannot compute on this kind of device; empty if it can."""
    if not dgl_available():
        return why_no_dgl()
    if kind == "cpu" or (kind == "cuda" and dgl_has_cuda()):
        return ""
    return f"the installed dgl has no support for {kind}"


@cache
def _log_choice(kind: str, obstacle: str) -> None:
    logger.info("graphs on %s: engine %s", kind, f"torch ({obstacle})" if obstacle else "dgl")
