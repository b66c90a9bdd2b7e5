"""Tell whether torch has an LSTM in bfloat16 for this CPU, and what runs on one that lacks it."""

from functools import cache

import torch
from torch import nn

from lightning_dl2.nets.recurrent import cells


@cache
def bfloat16_lstm_works() -> bool:
    """Tell whether torch has an LSTM in bfloat16 for this CPU.

    The first forward pass of a process asks, in the middle of a seeded step. An nn.LSTM built here would draw its
    weights from the global generator, and change the step's dropout: hence torch.lstm.
    """
    state, weights = [torch.zeros(1, 1, 1)] * 2, [torch.zeros(4, *shape) for shape in ((1,), (1,), (), ())]
    try:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            torch.lstm(torch.zeros(1, 1, 1), state, weights, True, 1, 0.0, False, False, False)
    except RuntimeError:
        return False
    return True


def lacks_bfloat16_lstm(device: torch.device) -> bool:
    """Tell whether torch, under autocast now, would ask oneDNN for a bfloat16 LSTM that it lacks on this CPU."""
    return device.type == "cpu" and torch.is_autocast_enabled("cpu") and not bfloat16_lstm_works()


def bfloat16_note(net: nn.Module, device: torch.device) -> str | None:
    """Return one line if a layer of `net` computes in float32 although Lightning announces bfloat16."""
    has_lstm = any(getattr(module, "cell", None) is cells.LSTM for module in net.modules())
    if has_lstm and device.type == "cpu" and not bfloat16_lstm_works():
        return "trainer.precision=bf16-mixed: torch has no bfloat16 LSTM for this CPU; the LSTM computes in float32"
    return None
