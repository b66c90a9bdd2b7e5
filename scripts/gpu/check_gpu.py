"""Check on a GPU that everything holds there that holds on the CPU, and measure how fast it is.

    python scripts/gpu/check_gpu.py [recurrent] [graphs] [training] [exact] [speed] [minutes=8] [out=DIR] [data=DIR]
        [device=auto|cpu|cuda] [form=auto|short|full]

    recurrent  cells, models and decoding compute what the CPU computes, and repeat their bits
    graphs     the same of graph layers, primitives and sparse products, for each engine
    training   optimisers; short runs in 32, bf16-mixed and 16-mixed reach what the CPU reaches
    exact      killed runs equal uninterrupted ones to the last bit; trainer=ddp; a run moves to a CPU
    speed      milliseconds and memory beside a bare loop, torch.nn.LSTM (cuDNN), PyG and DGL

Without a group, all are tried. device=auto takes a GPU if torch can use one. form=auto is the full form on a GPU and
the short one on a CPU, which tries the same checks in small. data=DIR names a directory with cora/ and zinc12k/, whose
runs are not tried without it. After `minutes` the rest is not tried. `out` gets check_gpu.json, check_gpu.md and
log.txt.

It needs the packages of requirements.txt; of torch any build will do. The exit code is 1 if a promise is broken; the
last line names the first one.
"""

import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

NEEDED = ("hydra", "matplotlib", "numpy", "pydantic", "pytorch_lightning", "rich", "torch", "torchmetrics")
if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
    print(f"error: not installed: {', '.join(missing)}; fix: pip install -r requirements.txt", file=sys.stderr)
    raise SystemExit(2)
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses deterministic algorithms
sys.path.insert(0, str(Path(__file__).parents[2]))

from rich.markup import escape  # noqa: E402
from rich.progress import Progress  # noqa: E402
from rich.table import Table  # noqa: E402

from lightning_dl2.common.arguments import AnyPath, Arguments, Text, parse, split_names, whole  # noqa: E402
from lightning_dl2.common.command import command, console, read_docstring  # noqa: E402
from lightning_dl2.common.errors import ProcessError, UserError  # noqa: E402
from lightning_dl2.common.files import writing  # noqa: E402
from scripts.gpu import checklist  # noqa: E402
from scripts.gpu.checklist import Check, Outcome, Setting  # noqa: E402

GROUPS = ("recurrent", "graphs", "training", "exact", "speed")
NO_DATA = "none"


class CheckArguments(Arguments):
    """Hold the key=value arguments of the script."""

    minutes: Annotated[int, whole(1)] = 8
    out: AnyPath = Path("check_gpu")
    data: Text = NO_DATA
    device: Literal["auto", "cpu", "cuda"] = "auto"
    form: Literal["auto", "short", "full"] = "auto"


def collect(groups: list[str], short: bool) -> Iterator[Check]:
    """Yield the checks of the groups, in order."""
    from scripts.gpu import exact, graphs, recurrent, speed, training

    found = {
        "recurrent": recurrent.checks,
        "graphs": graphs.checks,
        "training": training.checks,
        "exact": exact.checks,
        "speed": lambda: speed.checks(short),
    }
    for group in groups:
        yield from found[group]()


def describe(setting: Setting) -> dict[str, str]:
    """Return the facts of the machine and the day."""
    import torch

    facts = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "form": "short" if setting.short else "full"}
    facts |= {"Python": platform.python_version(), "torch": str(torch.__version__), "CPU": _cpu_name()}
    if setting.device == "cuda":
        free = torch.cuda.get_device_properties(0)
        facts |= {"GPU": f"{torch.cuda.device_count()} x {free.name}", "memory": f"{free.total_memory / 2**30:.0f} GiB"}
        facts |= {"CUDA": str(torch.version.cuda), "cuDNN": str(torch.backends.cudnn.version()), "driver": _driver()}
    else:
        facts["GPU"] = "none was used"
    return facts


def _cpu_name() -> str:
    """Return the name of the CPU, which decides the last bits and the times on it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _driver() -> str:
    with suppress(OSError):
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        found = subprocess.run(query, capture_output=True, encoding="utf-8", check=False).stdout.split()
        if found:
            return found[0]
    return "unknown"


def choose(arguments: CheckArguments) -> tuple[str, bool]:
    """Return the device and whether the form is short.

    Raises:
        UserError: there is no GPU for device=cuda.
    """
    import torch

    device = arguments.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: this machine has no GPU that torch can use; allowed: auto, cpu")
    return device, arguments.form == "short" or (arguments.form == "auto" and device == "cpu")


def show(header: tuple[str, ...], rows: list[tuple[str, ...]], title: str) -> None:
    """Print a table."""
    table = Table(*header, title=title)
    for cells in rows:
        style = "red" if "failed" in cells else "yellow" if "not tried" in cells else None
        table.add_row(*map(escape, cells), style=style)
    console().print(table)


def _main(argv: list[str]) -> int:
    groups, rest = split_names(argv, GROUPS)
    arguments = parse(CheckArguments, rest)
    device, short = choose(arguments)
    data = None if arguments.data == NO_DATA else Path(arguments.data).expanduser().absolute()
    if data is not None and not data.is_dir():
        raise UserError(f"data={data}: is no directory; allowed: one with cora/ or zinc12k/")
    out = arguments.out.absolute()
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        (log := out / "log.txt").write_text("", "utf-8")
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="check-gpu-") as folder, Progress(console=console(stderr=True)) as progress:
        setting = Setting(device, short, data, Path(folder))
        facts = describe(setting)
        todo = list(collect(groups, short))
        bar = progress.add_task("", total=len(todo))
        for outcome in checklist.go_through(todo, setting, arguments.minutes, log):
            outcomes.append(outcome)
            checklist.write_results(out, facts, outcomes)  # each time: the machine may be taken away
            progress.update(bar, advance=1, description=f"{outcome.kind}: {outcome.case}")
            if outcome.status == "failed":
                progress.console.print(f"failed: {outcome.kind}: {outcome.case}: {outcome.detail}", markup=False)
    show(checklist.HEADER, checklist.rows_of(outcomes), ", ".join(f"{key} {value}" for key, value in facts.items()))
    if figures := checklist.figure_rows(outcomes):
        show(checklist.FIGURES, figures, "medians of turns with the peer; ratios below 1 of ms and MB: ours is less")
    counts = Counter(each.status for each in outcomes)
    told = ", ".join(f"{counts[status]} {status}" for status in ("passed", "failed", "not tried"))
    print(f"{told}; {out / 'check_gpu.md'}")
    first = next((each for each in outcomes if each.status == "failed"), None)
    if first:
        raise ProcessError(f"the first broken promise is: {first.kind} ({first.case}): {first.detail}")
    return 0


def main(argv: list[str] | None = None) -> int:
    return command(_main, argv, __doc__ or read_docstring(__file__))


if __name__ == "__main__":
    sys.exit(main())
