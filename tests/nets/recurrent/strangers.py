"""Cells as a user writes them outside of the package: as equations, and as modules with a step."""

import torch
from torch import nn, sigmoid, tanh
from torch.nn import functional as F

from lightning_dl2.nets import Cell


def linear(w, x, h):
    return F.linear(x, w["weight_ih"], w.get("bias_ih")), F.linear(h, w["weight_hh"], w.get("bias_hh"))


class EquationsGRU(Cell):
    """The equations of torch's GRU."""

    gates, state, forget_gate = ("r", "z", "n"), ("h",), "z"

    @staticmethod
    def step(w, x, h):
        (x_r, x_z, x_n), (h_r, h_z, h_n) = (part.chunk(3, dim=1) for part in linear(w, x, h))
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        n = tanh(x_n + r * h_n)
        return {"r": r, "z": z, "n": n, "h": (1 - z) * n + z * h}


class EquationsPeephole:
    """Gers' peephole LSTM, as a plain class that inherits nothing."""

    gates, state, forget_gate = ("i", "f", "g", "o"), ("h", "c"), "f"

    def shapes(self, D, H):
        return {"weight_ih": (4 * H, D), "weight_hh": (4 * H, H), "bias_ih": (4 * H,), "peephole": (3, H)}

    def step(self, w, x, h, c):
        from_x, from_h = linear(w, x, h)
        i, f, g, o = (from_x + from_h).chunk(4, dim=1)
        p_i, p_f, p_o = w["peephole"]
        i, f, g = sigmoid(i + p_i * c), sigmoid(f + p_f * c), tanh(g)
        c = f * c + i * g
        o = sigmoid(o + p_o * c)
        return {"i": i, "f": f, "g": g, "o": o, "c": c, "h": o * tanh(c)}


class ModuleGRU(nn.GRUCell):
    """torch's own cell with a step."""

    state = ("h",)

    def step(self, x, h):
        return {"h": self(x, h)}


class ModulePeephole(nn.Module):
    """Gers' peephole LSTM as a module that says all that a class of equations says."""

    gates, state, forget_gate = ("i", "f", "g", "o"), ("h", "c"), "f"

    def __init__(self, input_size, hidden_size, scale=0.3):
        super().__init__()
        for name, shape in EquationsPeephole().shapes(input_size, hidden_size).items():
            setattr(self, name, nn.Parameter(scale * torch.randn(shape)))

    def step(self, x, h, c):
        return EquationsPeephole().step(dict(self.named_parameters()), x, h, c)


class Attentive(nn.Module):
    """A memory of key-value products, [keys, V], with an output of V numbers and a way to run all steps at once."""

    state = ("h", "memory")

    def __init__(self, input_size, hidden_size, keys=3):
        super().__init__()
        self.key, self.value = nn.Linear(input_size, keys), nn.Linear(input_size, hidden_size // 2)
        self.keys = keys

    def state_shapes(self, H):
        return {"h": (H // 2,), "memory": (self.keys, H // 2)}

    def step(self, x, h, memory):
        key = tanh(self.key(x))
        memory = memory + key.unsqueeze(2) * self.value(x).unsqueeze(1)
        return {"h": (key.unsqueeze(1) @ memory).squeeze(1), "memory": memory}

    def sequence(self, x, h, memory):
        keys = tanh(self.key(x))
        memories = memory + (keys.unsqueeze(3) * self.value(x).unsqueeze(2)).cumsum(0)
        hs = (keys.unsqueeze(2) @ memories).squeeze(2)
        return hs, (hs[-1], memories[-1])


class Counting(Cell):
    """An RNN that keeps the share of the input that it has read, and ends at the first answer."""

    gates, state = ("h",), ("h", "steps")

    @staticmethod
    def state_shapes(H):
        return {"steps": (1,)}

    @staticmethod
    def step(w, x, h, steps, input_length):
        share = (steps + 1) / input_length[:, None]
        return {"h": tanh(sum(linear(w, x, h)) * share) * (share <= 1), "steps": steps + 1}


class CountingModule(nn.RNNCell):
    """The same as a module."""

    state, state_shapes = Counting.state, staticmethod(Counting.state_shapes)

    def step(self, x, h, steps, input_length):
        return Counting.step(dict(self.named_parameters()), x, h, steps, input_length)


class AsleepInEvaluation(Cell):
    """An RNN that is told whether it trains, and leaves its state alone otherwise."""

    gates, state = ("h",), ("h",)

    @staticmethod
    def step(w, x, h, training=False):
        return {"h": tanh(sum(linear(w, x, h))) if training else h + 0 * sum(linear(w, x, h))}


class ForgetsTheLength(Counting):
    """A sequence that does not take what its step takes."""

    @staticmethod
    def sequence(w, x, h, steps):
        raise NotImplementedError


class Scaled(Cell):
    """An RNN with a weight that no initialisation knows, and sets itself."""

    gates, state = ("h",), ("h",)

    def __init__(self, leak: float = 0.5):
        self.leak = leak

    def shapes(self, D, H):
        return {"weight_ih": (H, D), "weight_hh": (H, H), "scale": (H,)}

    @staticmethod
    def initialize(w):
        w["scale"].fill_(2.0)

    def step(self, w, x, h):
        return {"h": self.leak * h + tanh(w["scale"] * sum(linear(w, x, h)))}


def not_a_class(input_size, hidden_size):
    return None


class NoStep(nn.Module):
    state = ("h",)


class Nothing:
    pass


class StateIsAWord(EquationsGRU):
    state = "h"


class NoH(EquationsGRU):
    state = ("c", "h")


class WrongForgetGate(EquationsGRU):
    forget_gate = "f"


class WrongShapes(EquationsGRU):
    def shapes(self, D, H):
        return {"weight_ih": D * H}


class WrongStateShapes(EquationsGRU):
    def state_shapes(self, H):
        return {"c": (H,)}


class WideStep(EquationsGRU):
    @staticmethod
    def step(w, x, h):
        return EquationsGRU.step(w, x, h) | {"h": torch.cat([h, h], 1)}


class LacksAState(EquationsGRU):
    state = ("h", "c")

    @staticmethod
    def step(w, x, h, c):
        return EquationsGRU.step(w, x, h)


class LacksAGate(EquationsGRU):
    @staticmethod
    def step(w, x, h):
        return {"h": h}


class Raises(EquationsGRU):
    @staticmethod
    def step(w, x, h):
        return {"h": w["weight_hi"] @ h}


class ReturnsATensor(EquationsGRU):
    @staticmethod
    def step(w, x, h):
        return h


class NeedsMore(ModuleGRU):
    def __init__(self, input_size, hidden_size, width):
        super().__init__(input_size, hidden_size)


class ShortSequence(Attentive):
    def sequence(self, x, h, memory):
        hs, end = super().sequence(x, h, memory)
        return hs[1:], end


class Unknown(Scaled):
    initialize = None


class WrongSequence(Attentive):
    """Right from zeros only."""

    def sequence(self, x, h, memory):
        return super().sequence(x, h, torch.zeros_like(memory))


class WrongGradient(Attentive):
    def sequence(self, x, h, memory):
        hs, (h, memory) = super().sequence(x, h, memory)
        return hs.detach() + hs - hs.detach().clone(), (h.detach(), memory)


class MixesTheBatch(ModuleGRU):
    def step(self, x, h):
        return {"h": super().step(x, h)["h"] + x.mean()}


class HidesAWeight(ModuleGRU):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.hidden = torch.randn(hidden_size, dtype=torch.float64)

    def step(self, x, h):
        return {"h": self(x, h) + self.hidden.to(x.dtype)}


class UnusedWeight(ModuleGRU):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.unused = nn.Parameter(torch.zeros(1))


class Diverges(EquationsGRU):
    @staticmethod
    def step(w, x, h):
        return EquationsGRU.step(w, x, h) | {"h": h / 0}
