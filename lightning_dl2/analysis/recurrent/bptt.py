"""Draw the terms of dL/dW_hh by steps back from the loss: vanishing and exploding gradients.

Backpropagation through time sums one term per step, a product of Jacobians (closed forms: recurrent/by_hand.py). The
table compares the sum with autograd in float64. The figure shows the norm of each term, beside dL/dW_ph with its single
term. Left: inputs hold the states of an RNN at 0.01, where tanh is linear; each step back multiplies a term by the
spectral radius of W_hh, so terms vanish below 1 and explode above. Middle: with random inputs of variance 1 the states
saturate tanh, and the terms also vanish for radii above 1. Right: LSTMs by forget bias. A line is the geometric mean
over initialisations, its band the range.
    hidden_size  units
    steps        steps back from the loss
    batch_size   sequences; L is their mean loss
    seeds        number of initialisations
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_dl2.analysis.arguments import AnalysisArguments
from lightning_dl2.analysis.recurrent.by_hand import by_hand
from lightning_dl2.common.arguments import whole
from lightning_dl2.common.figures import COLOURS, MARKERS, new_figure, save, write_csv
from lightning_dl2.nets import Recurrent
from lightning_dl2.nets.recurrent.gradient_flow import band

RADII = (0.8, 0.9, 1.0, 1.1, 1.25)
FORGET_BIASES = (0.0, 1.0, 2.0, 4.0)
SMALL = 0.01  # size of states at which tanh is linear
NUM_CLASSES = 10
HELD, FREE, LSTM = "RNN, states held small", "RNN, inputs of variance 1", "LSTM, inputs of variance 1"

Net = tuple[Recurrent, nn.Linear, Tensor]  # the last is the input x [B, T, H]


class Arguments(AnalysisArguments):
    hidden_size: Annotated[int, whole(2)] = 64
    steps: Annotated[int, whole(10)] = 40
    batch_size: Annotated[int, whole(1)] = 8
    seeds: Annotated[int, whole(1)] = 5


class Norms(NamedTuple):
    terms: Tensor  # of dL/dW_hh by steps back, [seeds, steps]
    output: Tensor  # of dL/dW_ph, [seeds, 1]
    error: float  # largest difference from autograd, relative to the largest entry


def analyze(out: Path, arguments: Arguments) -> Table:
    """Write bptt.png and bptt.csv; return a table of the terms' decay and their difference from autograd."""
    length = arguments.steps + 1  # the first step adds zero, because h before it is zero
    sizes = {"hidden_size": arguments.hidden_size, "length": length, "batch_size": arguments.batch_size}
    seeds = range(arguments.seeds)

    def measure_seeds(build: Callable[..., Net], value: float) -> Norms:
        return measure([build(value, **sizes, seed=seed) for seed in seeds])

    panels = {
        HELD: {f"spectral radius {radius:g}": measure_seeds(build_held_rnn, radius) for radius in RADII},
        FREE: {f"spectral radius {radius:g}": measure_seeds(build_free_rnn, radius) for radius in RADII},
        LSTM: {f"forget bias {bias:g}": measure_seeds(build_lstm, bias) for bias in FORGET_BIASES},
    }
    rows = (
        [panel, name, gradient, steps, *(part[steps].item() for part in parts)]
        for panel, nets in panels.items()
        for name, norms in nets.items()
        for gradient, parts in (("dL/dW_hh", band(norms.terms)), ("dL/dW_ph", band(norms.output)))
        for steps in range(len(parts[0]))
    )
    header = ["panel", "net", "gradient", "steps_back", "geometric_mean", "lowest", "highest"]
    write_csv(out / "bptt.csv", header, rows)
    draw(panels, out / "bptt.png")
    return _build_table(panels)


def build_held_rnn(radius: float, state: float = SMALL, **sizes: int) -> Net:
    """Build an RNN whose W_hh has this spectral radius, with inputs that hold each unit at +state or -state.

    The slope of tanh is 1 - state^2 in all units and steps, so the product of k Jacobians is the k-th power of
    (1 - state^2) W_hh.
    """
    recurrent, output, x = build_free_rnn(radius, **sizes)
    states = x.sign() * state
    with torch.no_grad():
        nn.init.eye_(recurrent.core.weight_ih_l0)
        before = states.roll(1, dims=1)
        before[:, 0] = 0
        x = states.atanh() - before @ recurrent.core.weight_hh_l0.T
    return recurrent, output, x


def build_free_rnn(radius: float, *, hidden_size: int, length: int, batch_size: int, seed: int) -> Net:
    """Build an RNN with a normal W_hh, scaled to this spectral radius; W_hx x has variance 1 in each unit."""
    recurrent, output, x = _build_net("rnn", hidden_size, length, batch_size, seed)
    with torch.no_grad():
        W = recurrent.core.weight_hh_l0
        W *= radius / torch.linalg.eigvals(W).abs().max()
    return recurrent, output, x


def build_lstm(forget_bias: float, *, hidden_size: int, length: int, batch_size: int, seed: int) -> Net:
    """Build an LSTM with He initialisation of W_hh; W_hx x has variance 1 in each gate."""
    return _build_net("lstm", hidden_size, length, batch_size, seed, forget_bias=forget_bias)


def _build_net(cell: str, hidden_size: int, length: int, batch_size: int, seed: int, **options: Any) -> Net:
    torch.manual_seed(seed)
    recurrent = Recurrent(cell, hidden_size, hidden_size, initialization="kaiming", **options).double()
    nn.init.normal_(recurrent.core.weight_ih_l0, std=hidden_size**-0.5)
    output = nn.Linear(hidden_size, NUM_CLASSES).double()
    return recurrent, output, torch.randn(batch_size, length, hidden_size).double()


def measure(nets: list[Net]) -> Norms:
    """Return the norms of the closed-form terms and their difference from autograd; sequence k has label k mod C."""
    terms, outputs, errors = [], [], []
    for recurrent, output, x in nets:
        labels = torch.arange(len(x)) % NUM_CLASSES
        found = by_hand(recurrent, output, x, labels)
        terms.append(found.terms.flatten(1).norm(dim=1).flip(0)[:-1])
        outputs.append(found.output.norm().view(1))
        hs, _ = recurrent(x)
        loss = F.cross_entropy(output(hs[:, -1]), labels)
        truth = torch.autograd.grad(loss, [output.weight, recurrent.core.weight_hh_l0])
        for ours, theirs in zip((found.output, found.recurrent), truth, strict=True):
            errors.append(((ours - theirs).abs().max() / theirs.abs().max()).item())
    return Norms(torch.stack(terms), torch.stack(outputs), max(errors))


def factor(norms: Tensor) -> float:
    """Return the mean factor of a term's norm per step back, over the farther half of `norms` [seeds, steps]."""
    mean, half = norms.log().mean(0), norms.shape[1] // 2
    return ((mean[-1] - mean[half]) / (len(mean) - 1 - half)).exp().item()


def draw(panels: dict[str, dict[str, Norms]], path: Path) -> None:
    """Draw a panel for each setting with a line for each net."""
    figure = new_figure(len(panels), width=4.6, height=5.0)
    for axes, (title, nets) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for number, (name, norms) in enumerate(nets.items()):
            last = number == len(nets) - 1
            mean, low, high = band(norms.terms)
            colour, marker, steps = COLOURS[number], MARKERS[number], range(len(mean))
            line = {"marker": marker, "markevery": max(1, len(mean) // 6), "markersize": 4, "linewidth": 1.3}
            axes.plot(steps, mean, color=colour, label=name, **line)
            axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
            if title == HELD:
                law = mean[0] * float(name.split()[-1]) ** torch.arange(len(mean))
                axes.plot(steps, law, ":", color="black", linewidth=1, label="(spectral radius)$^{T-t}$" * last)
            one = band(norms.output)[0].item()
            label = r"$\partial L / \partial W_{ph}$: one term" * last
            axes.plot(0, one, marker="*", markersize=12, color="white", markeredgecolor="black", ls="none", label=label)
        axes.set(title=title, yscale="log", xlabel="steps back from the loss, T - t")
        axes.set(ylabel=r"norm of each term of $\partial L / \partial W_{hh}$ (nats a unit)")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2)
    save(figure, path)


def _build_table(panels: dict[str, dict[str, Norms]]) -> Table:
    table = Table("setting", "net", "|dL/dW_ph|", "term at the end", "farthest", "factor a step", "off autograd")
    for title, nets in panels.items():
        for name, norms in nets.items():
            mean, one = band(norms.terms)[0], band(norms.output)[0].item()
            numbers = [f"{number:.1e}" for number in (one, mean[0], mean[-1])]
            table.add_row(title, name, *numbers, f"{factor(norms.terms):.3f}", f"{norms.error:.0e}")
    return table
