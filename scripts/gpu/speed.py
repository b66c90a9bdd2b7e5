"""Figures of speed and memory on a device, each beside a peer that does the same work in the same process."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from lightning_dl2.decoding import Decoding, generate
from lightning_dl2.graphs.choose_engine import dgl_obstacle
from lightning_dl2.graphs.sparse import SparseMatrix, segment_product
from lightning_dl2.nets import LanguageModel, Recurrent
from scripts.benchmarks import graph_steps
from scripts.benchmarks.benchmark import LONG, BareNet, generate_naively, run_net, time_cell_step
from scripts.benchmarks.loops import alternate, compare_with_bare, seconds, synchronize
from scripts.gpu.checklist import Check, Figure, NotTried, Passed, Setting
from scripts.gpu.recurrent import FORMS

MEGABYTE = 2**20
TRAINER = ((128, 20, 128, 200), (256, 81, 256, 100), (64, 128, 512, 60))  # B, T, H, steps
SIZES = ((128, 20, 128), (64, 128, 512), LONG)  # of the cells
SHORT_SIZE = (8, 6, 16)


def _repeats(setting: Setting) -> int:
    return 3 if setting.short else 5


def on_device(function: Callable[[], object]) -> Callable[[], object]:
    """Return a function that waits for the device after each call: a launch of a kernel returns at once."""

    def call() -> object:
        found = function()
        synchronize()
        return found

    return call


def memory_of(setting: Setting, function: Callable[[], object]) -> float:
    """Return the largest memory that a call takes on the device, in MB; NaN on the CPU."""
    if setting.device == "cpu":
        return float("nan")
    synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    function()
    synchronize()
    return (torch.cuda.max_memory_allocated() - before) / MEGABYTE


def figures_of(
    setting: Setting, name: str, case: str, sides: Sequence[Callable[[], object]], peer: str, times: int = 1
) -> list[Figure]:
    """Time two sides in turns; return their milliseconds a call, and on a GPU their memory."""
    waiting = [on_device(side) for side in sides]
    (ours, theirs), _ = alternate([partial(seconds, side, times) for side in waiting], _repeats(setting))
    found = [Figure(name, case, "ms", ours * 1e3, theirs * 1e3, peer)]
    if setting.device == "cuda":
        found.append(Figure(name, case, "MB", *(memory_of(setting, side) for side in sides), peer))
    return found


def _passed(figures: list[Figure]) -> Passed:
    """Return the figures; the slowest ratio decides which case the table names."""
    first = figures[0]
    slower = first.peer / first.ours if first.unit == "tokens/s" else first.ours / first.peer
    return Passed(f"{first.ours:.4g} {first.unit}, {first.peer_name} {first.peer:.4g}", tuple(figures), slower)


def time_training(setting: Setting, batch: int, length: int, hidden: int, steps: int) -> Passed:
    """Time the Trainer's step against a bare loop's."""
    overrides = [f"data.batch_size={batch}", f"data.sequence_length={length + 1}", f"task.hidden_size={hidden}"]
    overrides += ["data.validation_size=8", f"trainer.accelerator={setting.accelerator}"]
    build = partial(BareNet, hidden)
    ours, bare, _ = compare_with_bare(overrides, build, steps, _repeats(setting), setting.device)
    case = f"B {batch}, T {length}, H {hidden}"
    return _passed([Figure("training step, LSTM, Trainer", case, "ms", ours * 1e3, bare * 1e3, "a bare loop")])


def time_cell(setting: Setting, form: str, size: tuple[int, int, int]) -> Passed:
    """Time the forward and backward pass of a cell against torch.nn.LSTM: on CUDA that is cuDNN's."""
    batch, length, hidden = size
    torch.manual_seed(0)
    x = torch.randn(batch, length, hidden, device=setting.device, requires_grad=True)
    ours = Recurrent(input_size=hidden, hidden_size=hidden, **FORMS[form]).to(setting.device)
    peer = torch.nn.LSTM(hidden, hidden, batch_first=True).to(setting.device)
    case = f"B {batch}, T {length}, H {hidden}"
    sides = [partial(time_cell_step, run_net(net, x)) for net in (ours, peer)]
    return _passed(figures_of(setting, f"forward and backward, {form}", case, sides, "torch.nn.LSTM"))


def time_writing(setting: Setting, streams: int) -> Passed:
    """Time the tokens a second of all streams against a loop that calls torch.nn.LSTM for each token."""
    length = 20 if setting.short else {1: 500, 64: 200, 1024: 100}[streams]
    torch.manual_seed(0)
    net = LanguageModel(100, cell="lstm", num_layers=1, hidden_size=256).eval().to(setting.device)
    decoding = Decoding(max_new_tokens=length)
    sides = [
        on_device(lambda: generate(net, [[]] * streams, decoding, start_token=0)),
        on_device(lambda: generate_naively(net, streams, length)),
    ]
    (ours, naive), _ = alternate([partial(seconds, side) for side in sides], _repeats(setting))
    rates = [streams * length / each for each in (ours, naive)]
    return _passed(
        [Figure("generation, LSTM 256", f"{streams} streams", "tokens/s", *rates, "a loop of torch.nn.LSTM")]
    )


def time_product(setting: Setting, F: int) -> Passed:
    """Time the deterministic product by segments against the one by torch's CSR."""
    rows, nnz = (200, 2000) if setting.short else (100_000, 1_100_000)
    generator = torch.Generator().manual_seed(0)
    places = [torch.randint(0, rows, (nnz,), generator=generator) for _ in range(2)]
    matrix = SparseMatrix.from_coo(*places, torch.ones(nnz), (rows, rows)).to(setting.device)
    dense = torch.randn(rows, F, generator=generator).to(setting.device)
    sides: list[Callable[[], Tensor]] = [lambda: segment_product(matrix, dense), lambda: matrix.torch_csr() @ dense]
    case = f"{nnz:,} entries, {rows:,} rows, F {F}"
    return _passed(
        figures_of(setting, "sparse product, segments", case, sides, "torch's CSR", 1 if setting.short else 10)
    )


def time_graph(setting: Setting, library: str, layer: str) -> Passed:
    """Time a training step of a graph net against the same net in PyG or DGL."""
    peers = graph_steps.import_peers()
    if library not in peers:
        raise NotTried(f"{library} is not installed")
    if library == "DGL" and setting.device == "cuda":
        if why := dgl_obstacle("cuda"):
            raise NotTried(why)
    torch.manual_seed(0)
    if layer == "gcn":
        nodes = graph_steps.generate_blocks(300 if setting.short else graph_steps.NUM_BLOCK_NODES)
        steps = graph_steps.build_node_steps(nodes, 64, 0.5, {library: peers[library].GCN}, setting.device)
        case = f"GCN, {nodes.num_nodes:,} nodes"
    else:
        graphs, y = graph_steps.generate_molecules()
        kinds = (graph_steps.Molecules, peers[library].Molecules)
        steps, _ = graph_steps.build_molecule_steps(kinds, graphs, y, layer, setting.device)
        case = f"{layer}, {graph_steps.MOLECULES_BATCH} molecules"
    return _passed(figures_of(setting, "training step, graph net", case, steps, library, 1 if setting.short else 5))


def checks(short: bool) -> Iterator[Check]:
    """Yield the measurements; the short form has one size of each."""
    new = partial(Check, "speed", limit=180.0)
    for size in [(*SHORT_SIZE, 5)] if short else TRAINER:
        yield new("the Trainer beside a bare loop", f"(B, T, H) = {size[:3]}", time_training, size)
    for form in FORMS:
        for shape in [SHORT_SIZE] if short else SIZES:
            yield new("a cell beside torch.nn.LSTM", f"{form}, (B, T, H) = {shape}", time_cell, (form, shape))
    for streams in (1,) if short else (1, 64, 1024):
        yield new("generation beside a loop", f"streams: {streams}", time_writing, (streams,))
    for F in (64,) if short else (1, 16, 64, 256):
        yield new("the deterministic sparse product beside CSR", f"F = {F}", time_product, (F,))
    for library in ("PyG", "DGL"):
        for layer in ("gcn", "gatedgcn", "gin"):
            yield new(f"a graph net beside {library}", layer, time_graph, (library, layer))
