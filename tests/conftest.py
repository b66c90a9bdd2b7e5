"""Fixtures of runs small enough to train, stop and compare within a second."""

import gc
import multiprocessing
import os
import pickle
import signal
import sys

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # before lightning_dl2 is imported, because nohup ignores SIGHUP
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; two threads are slow beside a busy process
os.environ.setdefault("MPLBACKEND", "Agg")

from collections.abc import Callable  # noqa: E402
from functools import cache  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import pytest  # noqa: E402
import yaml  # noqa: E402

from lightning_dl2 import compose  # noqa: E402
from lightning_dl2.common import figures  # noqa: E402
from lightning_dl2.common.command import SIGNALS  # noqa: E402
from lightning_dl2.config.schema import Config  # noqa: E402

# Epochs of 7 batches and validations every 5, so that stops fall on, before and after both.
TINY = (
    "data.sequence_length=6",
    "data.batch_size=8",
    "data.batches_per_epoch=7",
    "data.validation_size=32",
    "data.test_size=32",
    "task.hidden_size=8",
    "task.num_layers=2",
    "task.dropout=0.3",
    "trainer.max_steps=24",
    "trainer.val_check_interval=5",
    "trainer.log_every_n_steps=2",
    "trainer.num_threads=1",
    "callbacks.progress_bar=false",
    "callbacks.curves=false",
    "callbacks.checkpoint.every_n_steps=4",
)


# Strings to reverse; the test measures the accuracy at another length, too.
TRANSDUCER = (*TINY, "experiment=own", "data=transduction", "task=sequence_transducer", "data.test_lengths=[9]")

# 4000 characters: epochs of 7 batches.
TINY_TEXT = (
    "experiment=text",
    "data.name=text",  # not data=text, with which each run under another root would be composed anew
    "data.sequence_length=16",
    "data.batch_size=32",
    "data.evaluation_batch_size=4",
    "data.evaluation_warmup=16",
    "data.cold_window=32",
    "task.hidden_size=8",
    "task.num_layers=2",
    "task.dropout=0.3",
    "optimizer.schedule.name=constant",
    "optimizer.schedule.warmup_steps=0",
    "callbacks.samples.enabled=false",
    *(word for word in TINY if word.startswith(("trainer.", "callbacks."))),
)


# Each step uses the whole graph and is an epoch; with data.fanouts an epoch has 6 batches.
TINY_GRAPH = (
    "experiment=graph",
    "data.block_model.num_nodes=90",
    "data.block_model.num_classes=3",
    "data.block_model.average_degree=5.0",
    "data.block_model.num_feats=4",
    "data.train_per_class=8",
    "data.validation_size=30",
    "task.hidden_size=8",
    "task.dropout=0.3",
    *(word for word in TINY if word.startswith(("trainer.", "callbacks."))),
)

# 48 graphs, of which 27 are trained on: epochs of 7 batches. GIN with batch norm.
TINY_GRAPHS = (
    "experiment=mutag",
    "data=minigc",
    "data.num_graphs=48",
    "data.min_nodes=6",
    "data.max_nodes=9",
    "data.num_folds=4",
    "data.validation_fraction=0.25",
    "data.batch_size=4",
    "data.evaluation_batch_size=5",
    "task.hidden_size=8",
    "task.num_layers=2",
    "task.dropout=0.3",
    *(word for word in TINY if word.startswith(("trainer.", "callbacks."))),
)


def check_descriptor(file: Any) -> None:
    """Take the place of `os.fsync`, which waits for the disk: no test cuts the power, and files outlive a kill."""
    os.fstat(file if isinstance(file, int) else file.fileno())


os.fsync = check_descriptor


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Any:
    """Collect without the garbage collector, which is to look neither now nor later through the modules of torch."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_finish() -> None:
    """Do once what many tests repeat."""
    # The import of a script sets the script's own preload.
    multiprocessing.get_context("forkserver").set_forkserver_preload(["tests.preload"])
    yaml.load = parsed_once(yaml.load)
    figures.DPI = 60  # a figure of 150 dpi takes half as long again
    texts = sys.modules.get("lightning_dl2.data.text.module")
    if texts:
        texts.compressed_sizes = remembered(texts.compressed_sizes)


def remembered(compressed_sizes: Callable[..., dict[str, float]]) -> Callable[..., dict[str, float]]:
    """Compress each text once: xz takes half a second to set up its 64 MiB, and each test of a text run does."""
    known: dict[Any, dict[str, float]] = {}

    def sizes(train: Any, test: Any, vocabulary: Any) -> dict[str, float]:
        key = (train.tobytes(), test.tobytes(), type(vocabulary), str(vocabulary.plain))
        if key not in known:
            known[key] = compressed_sizes(train, test, vocabulary)
        return dict(known[key])

    return sizes


def parsed_once(load: Callable[..., Any]) -> Callable[..., Any]:
    """Parse each text of YAML once: a composition reads some thirty files of conf/, twice, in a third of its time."""
    known: dict[Any, bytes] = {}

    def parsed(stream: Any, Loader: Any) -> Any:  # noqa: N803  as in yaml.load
        text = stream
        if hasattr(stream, "read"):
            begin = stream.tell()
            text = stream.read()
            stream.seek(begin)
        key = (text, Loader.__qualname__)
        if key not in known:
            known[key] = pickle.dumps(load(stream, Loader))  # an error is raised each time, and names its file
        return pickle.loads(known[key])

    return parsed


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share the tests out one by one, but in whole files where they share a fixture or all are fast.

    No two processes make a fixture of a file, and fast tests do not wait for a message each.
    """
    from xdist.scheduler import LoadScopeScheduling

    @cache
    def is_whole(file: str) -> bool:
        text = (config.rootpath / file).read_text(encoding="utf-8")
        return config.option.markexpr == "not slow" or "mark.slow" not in text or 'scope="module"' in text

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if is_whole(file) else nodeid

        def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
            super().mark_test_complete(node, item_index, duration)
            units = self.assigned_work[node]  # each test looks through all of them, so what is done does not stay
            scope = self._split_scope(self.registered_collections[node][item_index])
            if all(units[scope].values()):
                del units[scope]

    return Scheduling(config, log) if config.option.dist == "load" else None


@pytest.fixture(autouse=True)
def signals_are_heard():
    """Unblock SIGUSR1 after each test; commands block it until training handles it, and processes inherit that."""
    yield
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})


@pytest.fixture(scope="session")
def book(tmp_path_factory) -> Path:
    """Return the path of a text of 4000 characters with lines, accents and one emoji."""
    words = ("the", "cat", "sat", "on", "a", "m\u00e2t", "and", "sl\u00e9pt", "\U0001f642", "until", "noon.\n")
    number, text = 1, ""
    while len(text) < 4000:
        number = number * 48271 % 2147483647
        text += words[number % len(words)] + " "
    path = tmp_path_factory.mktemp("book") / "book.txt"
    path.write_text(text[:4000], encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def molecules(tmp_path_factory) -> Path:
    """Return a file in ZINC's format with 10 training, 5 validation and 7 test molecules, a regression."""
    from tests.small import write_molecules  # imports torch, so not at the top

    return write_molecules(tmp_path_factory.mktemp("molecules") / "zinc.npz")


def completed_values(steps: int) -> dict[str, Any]:
    """Return the values in result.json of a completed run that `Run.write_result` does not add."""
    counts = dict.fromkeys(("best_step", "epochs", "parameters", "world_size"), 1)
    rates = {"seconds": 1.0, "steps_per_second": 1.0, "solved_at": None}
    return (
        {"status": "completed", "stopped_by": "limit", "device": "cpu", "steps": steps, "metrics": {}} | counts | rates
    )


def composer(tmp_path: Path, *words: str) -> Callable[..., Config]:
    """Return a function of overrides that composes a run under tmp_path and accepts overrides without effect."""

    def composed(*overrides: str) -> Config:
        roots = () if any(word.startswith("root=") for word in overrides) else (f"root={tmp_path / 'runs'}",)
        return compose(*words, *roots, *overrides, begun=lambda config: True)

    return composed


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Config]:
    """Return `tiny("seed=1", ...)`: the configuration of a run under tmp_path that trains in well under a second."""
    return composer(tmp_path, *TINY)


@pytest.fixture
def tiny_text(tmp_path: Path, book: Path) -> Callable[..., Config]:
    """Return a function like `tiny` for experiment=text."""
    return composer(tmp_path, *TINY_TEXT, f"data.path={book}", f"data.cache_dir={book.parent}")


@pytest.fixture
def tiny_graph(tmp_path: Path) -> Callable[..., Config]:
    """Return a function like `tiny` for experiment=graph: the nodes of one graph."""
    return composer(tmp_path, *TINY_GRAPH, "data.batch_size=4")


@pytest.fixture
def tiny_graphs(tmp_path: Path) -> Callable[..., Config]:
    """Return a function like `tiny` for many graphs."""
    return composer(tmp_path, *TINY_GRAPHS)


@pytest.fixture
def as_before():
    """Restore what a command changes in its process."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
