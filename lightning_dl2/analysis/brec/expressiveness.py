"""Measure how many of BREC's 400 pairs of graphs a net tells apart.

Message passing tells none apart: it is no stronger than the 1-WL test. A net is trained for each pair and compared by a
test of Hotelling's T^2, with copies of one graph as a control (Wang and Zhang 2024, https://arxiv.org/abs/2304.07702).
A pair counts if both say so: the graphs differ, and the copies do not.

`comparisons.csv` gets a line for each pair when it is done. The same command goes on after the last one.
`expressiveness.csv` and `expressiveness.png` count the pairs by part. With several seeds they show the mean.
    net            NAME[,NAME...]: 1-wl or 3-wl, colour refinement without training; or [MARKS:]LAYER[+ENCODING],
                   such as gin, gatedgcn+random_walk, edge:gin, my_package.MyLayer
    data.path      directory of the seven .npy files; none: they are downloaded
    parts          NAME[,NAME...] of basic, simple_regular, strongly_regular, extension, cfi, four_vertex,
                   distance_regular
    pairs          the first so many of each part; 0: all
    seeds          0 to N - 1, of copies and weights
    num_layers     likewise hidden_size, of each net
    encoding_size  of ENCODING
    hops           of MARKS
    epochs         passes over the 32 copies of both graphs; likewise learning_rate, weight_decay and batch_size
"""

import csv
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from rich.table import Table

from lightning_dl2.analysis.arguments import AnalysisArguments
from lightning_dl2.analysis.brec.color_refinement import tells_apart
from lightning_dl2.analysis.brec.comparison import Training, Verdict, compare
from lightning_dl2.analysis.brec.nets import REFINEMENTS, Kind, build_net, parse_net
from lightning_dl2.common.arguments import Text, choices, whole
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.figures import COLOURS, new_figure, save, write_csv
from lightning_dl2.common.files import csv_text, writing
from lightning_dl2.common.paths import user_path
from lightning_dl2.common.progress import progress
from lightning_dl2.data.downloads import cache_dir
from lightning_dl2.data.graph_files.brec import PARTS, Pair, digest_pairs, read_brec
from lightning_dl2.data.graph_files.downloads import fetch_graphs

NO_PATH = "none"
COLUMNS = ("net", "settings", "seed", "pair", "part", "distinguished", "reliable", "statistic", "control", "seconds")


class Arguments(AnalysisArguments):
    net: Text = "1-wl,gin"
    path: Annotated[Text, Field(alias="data.path")] = NO_PATH
    parts: Annotated[tuple[str, ...], choices(PARTS)] = tuple(PARTS)
    pairs: Annotated[int, whole()] = 0
    seeds: Annotated[int, whole(1)] = 1
    num_layers: Annotated[int, whole(1)] = 4
    hidden_size: Annotated[int, whole(1)] = 16
    encoding_size: Annotated[int, whole(1)] = 16
    hops: Annotated[int, whole(1)] = 4
    epochs: Annotated[int, whole(1)] = Training.epochs
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = Training.weight_decay
    batch_size: Annotated[int, whole(2, 64)] = Training.batch_size


def analyze(out: Path, arguments: Arguments) -> Table:
    """Compare the pairs that are not in comparisons.csv yet, and count all.

    Raises:
        UserError: a name that does not exist, or files that are missing or damaged; nothing is written.
    """
    names = tuple(dict.fromkeys(arguments.net.split(",")))
    kinds = [parse_net(name) for name in names if name not in REFINEMENTS]
    if arguments.batch_size % 2:
        raise UserError(f"batch_size={arguments.batch_size}: allowed: even numbers, half of each graph")
    for kind in kinds:
        _build(kind, arguments)
    directory = fetch_graphs("brec", cache_dir(None)) if arguments.path == NO_PATH else _given(arguments.path)
    pairs = read_brec(directory, arguments.parts, arguments.pairs or None)
    store = out / "comparisons.csv"
    done = _read(store)
    found: list[dict[str, str]] = []
    todo = [(name, seed, pair) for name in names for seed in _seeds(name, arguments) for pair in pairs]
    with progress("pairs compared", len(todo), items=True) as advance:
        for name, seed, pair in todo:
            settings = _settings(name, arguments, pair)
            key = (name, settings, str(seed), str(pair.number))
            if key not in done:
                line = (name, settings, seed, pair.number, pair.part, *_measure(name, arguments, seed, pair))
                done[key] = dict(zip(COLUMNS, map(str, line), strict=True))
                _append(store, line)
            found.append(done[key])
            advance(1)
    return _report(out, found, arguments)


def _given(path: str) -> Path:
    return user_path("data.path", path)


def _seeds(name: str, arguments: Arguments) -> range:
    return range(1 if name in REFINEMENTS else arguments.seeds)


def _build(kind: Kind, arguments: Arguments) -> torch.nn.Module:
    keys = ("num_layers", "hidden_size", "encoding_size", "hops")
    return build_net(kind, **{key: getattr(arguments, key) for key in keys})


def _settings(name: str, arguments: Arguments, pair: Pair) -> str:
    """Write what decides the result beside net and seed: the keys that have an effect, and the pair's digest."""
    digest = digest_pairs([pair])
    if name in REFINEMENTS:
        return digest
    marks, _, positional = parse_net(name)
    keys = ["num_layers", "hidden_size", *(["encoding_size"] if positional else []), *(["hops"] if marks else [])]
    keys += ["epochs", "learning_rate", "weight_decay", "batch_size"]
    return " ".join([*(f"{key}={getattr(arguments, key)}" for key in keys), digest])


def _measure(name: str, arguments: Arguments, seed: int, pair: Pair) -> Iterator[object]:
    """Yield whether the pair is told apart, whether that is reliable, T^2 of pair and control, and the seconds."""
    start = time.monotonic()
    verdict = None
    if name in REFINEMENTS:
        distinguished = tells_apart(name, pair.first, pair.second)
    else:
        kind = parse_net(name)
        positional = (kind.positional, arguments.encoding_size) if kind.positional else None
        training = Training(arguments.epochs, arguments.learning_rate, arguments.weight_decay, arguments.batch_size)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed * 1000 + pair.number)  # another for each pair, so that any pair alone is the same
            generator = torch.Generator().manual_seed(seed * 1000 + pair.number)
            net = _build(kind, arguments)
            verdict = compare(net, pair.first, pair.second, training, positional=positional, generator=generator)
        distinguished = verdict.distinguished
    yield int(distinguished)
    yield from _numbers(verdict)
    yield f"{time.monotonic() - start:.2f}"


def _numbers(verdict: Verdict | None) -> tuple[object, ...]:
    return (1, "", "") if verdict is None else (int(verdict.reliable), verdict.statistic, verdict.control)


def _read(store: Path) -> dict[tuple[str, ...], dict[str, str]]:
    """Read the pairs that are done; a last line that a kill has cut off is left out.

    Raises:
        UserError: the file has other columns.
    """
    if not store.exists():
        return {}
    text = store.read_text("utf-8")
    lines = list(csv.DictReader(text[: text.rfind("\n") + 1].splitlines()))
    if lines and tuple(lines[0]) != COLUMNS:
        raise UserError(f"{store}: has other columns than {', '.join(COLUMNS)}; fix: give another out or remove it")
    if not text.endswith("\n"):
        with writing(store):
            store.write_text(text[: text.rfind("\n") + 1], "utf-8")
    return {(line["net"], line["settings"], line["seed"], line["pair"]): line for line in lines}


def _append(store: Path, line: tuple[object, ...]) -> None:
    with writing(store):
        store.parent.mkdir(parents=True, exist_ok=True)
    with writing(store), open(store, "a", encoding="utf-8") as file:
        file.write(csv_text([line] if file.tell() else [COLUMNS, line]))


def _report(out: Path, found: list[dict[str, str]], arguments: Arguments) -> Table:
    """Write the counts and the figure; return them as a table."""
    names = list(dict.fromkeys(line["net"] for line in found))
    sizes = {part: len({line["pair"] for line in found if line["part"] == part}) for part in arguments.parts}
    rows, counts = [], {}
    for name in names:
        lines = [line for line in found if line["net"] == name]
        seeds = len({line["seed"] for line in lines})
        of_part = {
            part: sum(line["distinguished"] == "1" for line in lines if line["part"] == part) / seeds for part in sizes
        }
        unreliable = sum(line["reliable"] == "0" for line in lines) / seeds
        seconds = sum(float(line["seconds"]) for line in lines) / seeds
        counts[name] = of_part
        rows.append([name, seeds, *of_part.values(), sum(of_part.values()), unreliable, round(seconds)])
    header = ["net", "seeds", *(f"{part} ({size})" for part, size in sizes.items())]
    header += [f"all ({sum(sizes.values())})", "unreliable", "seconds"]
    write_csv(out / "expressiveness.csv", header, rows)
    _draw(counts, sizes, out / "expressiveness.png")
    table = Table(*header)
    for row in rows:
        table.add_row(*(f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in row))
    return table


def _draw(counts: dict[str, dict[str, float]], sizes: dict[str, int], path: Path) -> None:
    """Draw a bar for each net, with the parts one after the other."""
    figure = new_figure(width=7.0, height=1.2 + 0.35 * len(counts))
    axes = figure.subplots()
    left = [0.0] * len(counts)
    for part, colour in zip(sizes, COLOURS, strict=False):
        widths = [of_part[part] for of_part in counts.values()]
        axes.barh(list(counts), widths, left=left, color=colour, label=part.replace("_", " "))
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set(xlabel="pairs told apart", xlim=(0, sum(sizes.values())))
    axes.invert_yaxis()
    axes.legend(fontsize="small", ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    save(figure, path)
