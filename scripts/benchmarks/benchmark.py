"""Compare the speed of this package with the same work in plain PyTorch, PyG or DGL.

    python scripts/benchmarks/benchmark.py [trainer] [cells] [text] [generate] [graph] [sampling] [logging] [scaling]
        [waiting] [subnormal] [repeats=7] [threads=1] [data=DIR]

    trainer   a training step of the Trainer against a bare PyTorch loop: palindromes of three sizes
    cells     forward and backward pass of the package's cells, and of the scan behind the linear ones, against
              torch.nn.LSTM: time, and what is kept between the two passes
    text      the same as trainer for experiment=text, in characters per second
    generate  characters per second of lightning_dl2.decoding against a loop that calls torch.nn.LSTM per character
    graph     training steps of graph networks against the same networks in PyG (if installed) and in plain DGL:
              a GCN on Cora (DIR/cora; skipped without data=) and on a large generated graph, where PyG runs once by
              edge_index and once by torch.sparse; GatedGCN and GIN on batches of molecules
              (DIR/zinc12k/zinc12k_rebuilt.npz; synthetic without data=); the Trainer against a bare loop on Cora
    sampling  blocks around a batch of nodes of a graph of a million edges against DGL's NeighborSampler
    logging   a training step with offline W&B against one with metrics.csv alone
    scaling   throughput of two processes (DDP on the CPU) against one process, for the three experiments
    waiting   two threads under this package's waiting rule and under others, on idle cores and beside a busy process
    subnormal a training step of nets whose gradient vanishes, with trainer.flush_denormal against without

Without a kind, all benchmarks run. All sides do the same work in turns, in the same process. The tables show the median
of each side and of their ratio. On a busy machine the seconds vary, but the ratio hardly does.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[2]))

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from rich.table import Table  # noqa: E402

from lightning_dl2 import compose  # noqa: E402
from lightning_dl2.common.arguments import Arguments, Text, parse, split_names, whole  # noqa: E402
from lightning_dl2.common.command import command, console, read_docstring  # noqa: E402
from lightning_dl2.config.schema import Config  # noqa: E402
from lightning_dl2.data.build import build_data  # noqa: E402
from lightning_dl2.decoding import Decoding, generate  # noqa: E402
from lightning_dl2.nets import CELLS, LanguageModel, Recurrent  # noqa: E402
from lightning_dl2.nets.recurrent.cells import CLASSIC  # noqa: E402
from lightning_dl2.nets.recurrent.cells.scan import scan  # noqa: E402
from scripts.benchmarks.graph_steps import benchmark_graph  # noqa: E402
from scripts.benchmarks.logging_cost import benchmark_logging  # noqa: E402
from scripts.benchmarks.loops import alternate, compare_with_bare, seconds  # noqa: E402
from scripts.benchmarks.neighbor_sampling import benchmark_sampling  # noqa: E402
from scripts.benchmarks.scaling import benchmark_scaling  # noqa: E402
from scripts.benchmarks.subnormal import benchmark_subnormal  # noqa: E402
from scripts.benchmarks.waiting import benchmark_waiting  # noqa: E402

SIZES = ((128, 20, 128), (256, 81, 256), (64, 128, 512))
LONG = (16, 1024, 256)  # of the cells with a linear recurrence and the other new ones
STEPS = {20: 300, 81: 8, 128: 8}  # steps per measurement, by T
COURSE = ["data.batch_size=64", "data.sequence_length=30", "task.num_layers=2", "task.hidden_size=128"]
COURSE += ["task.embedding_size=null", "task.output_dropout=0"]
TEXT_SIZES = ([], COURSE)  # the experiment's own size, and the course's
TEXT_STEPS = 50  # one step logs, as by default; one writes a checkpoint, four times as often as by default
GENERATOR_SIZES = ((1, 256), (2, 128), (2, 512))  # layers, H
GENERATED = {1: 1000, 64: 100}  # number of streams: characters of each stream
VOCABULARY_SIZE = 100  # python_docs has about as many characters
NO_DATA = "none"


class BenchmarkArguments(Arguments):
    """Hold the key=value arguments of the script."""

    repeats: Annotated[int, whole(1)] = 7
    threads: Annotated[int, whole(1)] = 1
    data: Text = NO_DATA


class BareNet(torch.nn.Module):
    """The peer: the same model and optimiser as one would write them without a framework."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(10, 128)
        self.lstm = torch.nn.LSTM(128, hidden_size, batch_first=True)
        self.output = torch.nn.Linear(hidden_size, 10)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
        self.schedule = None

    def loss(self, tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        _, (h, _) = self.lstm(self.embedding(tokens))
        return F.cross_entropy(self.output(h[-1]), labels)


class BareTextNet(torch.nn.Module):
    """The peer for text: predicts the next character and carries its state from window to window."""

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        task, optimizer = config.task, config.optimizer
        embedding_size = task.embedding_size or task.hidden_size
        self.embedding = torch.nn.Embedding(vocabulary_size, embedding_size)
        self.lstm = torch.nn.LSTM(embedding_size, task.hidden_size, task.num_layers, batch_first=True)
        self.dropout = torch.nn.Dropout(task.output_dropout)
        self.output = torch.nn.Linear(task.hidden_size, vocabulary_size)
        self.state = None
        self.optimizer = torch.optim.AdamW(
            self.parameters(), lr=optimizer.learning_rate, weight_decay=optimizer.weight_decay
        )
        # The peer has no warm-up, which costs no time.
        steps = optimizer.schedule.total_steps
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, T_max=steps)

    def loss(self, tokens: torch.Tensor, targets: torch.Tensor, fresh: bool, cold: bool) -> torch.Tensor:
        outputs, (h, c) = self.lstm(self.embedding(tokens), None if fresh else self.state)
        self.state = h.detach(), c.detach()
        return F.cross_entropy(self.output(self.dropout(outputs)).flatten(0, 1), targets.flatten())


def benchmark_trainer(repeats: int) -> Table:
    table = Table("(B, T, H)", "Trainer ms/step", "bare loop ms/step", "ratio", title="Trainer against a bare loop")
    for batch, length, hidden in SIZES:
        overrides = [
            f"data.batch_size={batch}",
            f"data.sequence_length={length + 1}",
            f"task.hidden_size={hidden}",
            "data.validation_size=8",
        ]
        ours, bare, ratio = compare_with_bare(overrides, partial(BareNet, hidden), STEPS[length], repeats)
        table.add_row(str((batch, length, hidden)), f"{ours * 1e3:.2f}", f"{bare * 1e3:.2f}", f"{ratio:.3f}")
    return table


def benchmark_text(repeats: int) -> Table:
    title = "Training on text, characters/s: the Trainer against a bare loop"
    table = Table("(B, T, E, layers, H)", "Trainer", "bare loop", "ratio", title=title)
    with tempfile.TemporaryDirectory() as cache:  # keeps the benchmark out of the user's cache
        for size in TEXT_SIZES:
            overrides = ["experiment=text", f"data.cache_dir={cache}", "callbacks.samples.enabled=false", *size]
            overrides.append(f"callbacks.checkpoint.every_n_steps={TEXT_STEPS}")
            config = compose(*overrides)
            data, task = config.data, config.task
            build = partial(BareTextNet, config, build_data(data, 0).spec["vocabulary_size"])
            ours, bare, ratio = compare_with_bare(overrides, build, TEXT_STEPS, repeats)
            embedding_size, count = task.embedding_size or task.hidden_size, data.batch_size * data.sequence_length
            shape = (data.batch_size, data.sequence_length, embedding_size, task.num_layers, task.hidden_size)
            table.add_row(str(shape), f"{count / ours:.0f}", f"{count / bare:.0f}", f"{1 / ratio:.3f}")
    return table


def generate_naively(net: LanguageModel, streams: int, length: int) -> list[list[int]]:
    """Generate with a simple loop that calls the whole model for each character, with the same weights."""
    lstm, chosen, state = net.blocks[0].core, [], None
    with torch.inference_mode():
        tokens = torch.zeros(streams, 1, dtype=torch.int64, device=net.output.weight.device)
        for _ in range(length):
            outputs, state = lstm(net.embedding(tokens), state)
            tokens = torch.multinomial(net.output(outputs[:, 0]).softmax(1), 1)
            chosen.append(tokens)
        return torch.cat(chosen, 1).tolist()


def generate_ours(net: LanguageModel, streams: int, length: int) -> None:
    """Generate by `lightning_dl2.decoding`, including log-probabilities, which the naive loop does not compute."""
    generate(net, [[]] * streams, Decoding(max_new_tokens=length, temperature=1), start_token=0)


def benchmark_generate(repeats: int) -> Table:
    title = "Generating, characters/s of all streams: ours against a loop over torch.nn.LSTM"
    table = Table("(layers, H)", "streams", "ours", "naive loop", "ratio", title=title)
    for num_layers, hidden in GENERATOR_SIZES:
        net = LanguageModel(VOCABULARY_SIZE, cell="lstm", num_layers=num_layers, hidden_size=hidden).eval()
        assert isinstance(net.blocks[0].core, torch.nn.LSTM) and len(net.blocks) == 1
        for streams, length in GENERATED.items():
            ours = partial(seconds, partial(generate_ours, net, streams, length))
            naive = partial(seconds, partial(generate_naively, net, streams, length))
            (a, b), (ratio,) = alternate((ours, naive), repeats)
            row = (f"{streams * length / a:.0f}", f"{streams * length / b:.0f}", f"{1 / ratio:.2f}")
            table.add_row(str((num_layers, hidden)), str(streams), *row)
    return table


def time_cell_step(run: Callable[[], torch.Tensor]) -> float:
    """Return the seconds of a forward and a backward pass, including the gradient of the input."""
    start = time.perf_counter()
    run().sum().backward()
    return time.perf_counter() - start


def measure_kept(run: Callable[[], torch.Tensor]) -> float:
    """Return the MB that a forward pass keeps for the backward pass, parameters and input included."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = run()  # referred to, so that no storage is used twice
    del outputs
    return sum(kept.values()) / 1e6


def run_scan(batch: int, length: int, hidden: int) -> Callable[[], torch.Tensor]:
    """Return the bare scan of a linear cell, with the gradients of a, b and the first state."""
    shapes = (length, batch, hidden), (length, batch, hidden), (batch, hidden)
    leaves = [torch.rand(shape, requires_grad=True) for shape in shapes]

    def run() -> torch.Tensor:
        for leaf in leaves:
            leaf.grad = None  # else adding to it would count, too
        return scan(*leaves)

    return run


def run_net(net: torch.nn.Module, x: torch.Tensor) -> Callable[[], torch.Tensor]:
    def run() -> torch.Tensor:
        x.grad = None
        net.zero_grad()
        outputs: torch.Tensor = net(x)[0]
        return outputs

    return run


def benchmark_cells(repeats: int) -> Table:
    title = "Forward and backward against torch.nn.LSTM; kept: MB between the two"
    table = Table("cell", "(B, T, H)", "ms", "nn.LSTM ms", "ratio", "kept", "nn.LSTM kept", title=title)
    kinds = [("rnn", {}), ("gru", {}), ("gru", {"reset_after": False})]
    kinds += [("peephole", {"peephole": peephole}) for peephole in ("gers", "assignment")]
    cases = [(cell, options, size) for cell, options in kinds for size in SIZES]
    cases += [(cell, {}, LONG) for cell in ("scan", *(name for name in CELLS if name not in CLASSIC))]
    for cell, options, size in cases:
        batch, length, hidden = size
        x = torch.randn(batch, length, hidden, requires_grad=True)
        ours = run_scan(*size) if cell == "scan" else run_net(Recurrent(cell, hidden, hidden, **options), x)
        peer = run_net(torch.nn.LSTM(hidden, hidden, batch_first=True), x)
        (a, b), (ratio,) = alternate([partial(time_cell_step, run) for run in (ours, peer)], repeats)
        name = " ".join([cell, *(f"{key}={value}" for key, value in options.items())])
        times = f"{a * 1e3:.1f}", f"{b * 1e3:.1f}", f"{ratio:.3f}" if ratio < 0.1 else f"{ratio:.2f}"
        table.add_row(name, str(size), *times, *(f"{measure_kept(run):.0f}" for run in (ours, peer)))
    return table


KINDS = {
    "trainer": benchmark_trainer,
    "cells": benchmark_cells,
    "text": benchmark_text,
    "generate": benchmark_generate,
    "sampling": benchmark_sampling,
    "logging": benchmark_logging,
    "scaling": benchmark_scaling,
    "waiting": benchmark_waiting,
    "subnormal": benchmark_subnormal,
}


def run(argv: list[str]) -> int:
    kinds, rest = split_names(argv, [*KINDS, "graph"])
    arguments = parse(BenchmarkArguments, rest)
    repeats, folder = arguments.repeats, None if arguments.data == NO_DATA else Path(arguments.data).expanduser()
    torch.set_num_threads(arguments.threads)
    for kind in kinds:
        for shown in benchmark_graph(repeats, folder) if kind == "graph" else [KINDS[kind](repeats)]:
            console().print(shown)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB
        console().print(f"Peak memory of this process so far, including all sides and imports: {peak:.0f} MB")
    return 0


def main(argv: list[str] | None = None) -> int:
    return command(run, argv, __doc__ or read_docstring(__file__))


if __name__ == "__main__":
    sys.exit(main())
