"""Load the recurrent nets of given runs, or train small ones for an analysis."""

from pathlib import Path
from typing import Any

from lightning_dl2.common import system
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import walk, write_text
from lightning_dl2.config.compose import compose
from lightning_dl2.config.overrides import format_override
from lightning_dl2.data import SequenceDataModule, TextDataModule
from lightning_dl2.run.directory import MOVED_ASIDE, TRAINED_BY_ANALYZE, Run
from lightning_dl2.tasks import SequenceClassifier, Task, TextGenerator
from lightning_dl2.tasks.build import build_task
from lightning_dl2.training.open_run import open_finished_run
from lightning_dl2.training.start import train

SMALL = (
    "experiment=palindrome",
    "task.hidden_size=64",
    "data.validation_size=1024",
    "data.test_size=1024",
    "trainer.max_steps=400",
    "trainer.val_check_interval=10",
    "trainer.num_threads=1",
    "callbacks.progress_bar=false",
    "callbacks.curves=false",
)


def train_small(root: Path, *words: str) -> Run:
    """Train a palindrome net by SMALL and the overrides `words` in a run below `root`, unless it is trained already.

    Raises:
        UserError: the overrides are invalid.
    """
    return train_once(root, *SMALL, *words)


def train_once(root: Path, *words: str) -> Run:
    """Train a net by the overrides `words` in a run below `root`, unless it is trained already.

    A file in `root` tells other commands that these runs are not the user's.

    Raises:
        UserError: the overrides are invalid.
    """
    config = compose(*words, f"root={format_override(str(root))}")
    root.mkdir(parents=True, exist_ok=True)
    write_text(root / TRAINED_BY_ANALYZE, "The command `analyze` trained the runs in this directory.\n")
    _, objects = train(config)
    return objects["run"]


def find_runs(text: str) -> list[Run]:
    """Find the runs in comma-separated directories: run directories or trees of them.

    Names of run directories contain commas too. A comma ends a path if the text before it is a directory.

    Raises:
        UserError: a directory does not exist or holds no run.
    """
    paths, path = [], ""
    for part in text.split(","):
        path = f"{path},{part}" if path else part
        if Path(path).is_dir():
            paths.append(Path(path))
            path = ""
    if path:
        raise UserError(f"run={path}: there is no such directory; allowed: DIR[,DIR...]")
    runs = []
    for top in paths:
        found = []
        for folder, folders, files in walk(top):
            if TRAINED_BY_ANALYZE in files and folder != top:
                folders.clear()
            elif "config.yaml" in files:
                folders.clear()  # a run has nested config.yaml files of its own, such as W&B's
                if folder == top or not MOVED_ASIDE.fullmatch(folder.name):
                    found.append(Run(folder))
        if not found:
            raise UserError(f"run={top}: holds no run (no config.yaml); allowed: a run directory or a tree of them")
        runs += found
    return runs


def load_recurrent(
    run: Run, checkpoint: str = "best"
) -> tuple[SequenceClassifier | TextGenerator, SequenceDataModule | TextDataModule]:
    """Load the task of a run, in evaluation mode, and its data.

    Raises:
        UserError: the run has no such checkpoint or no recurrent net.
    """
    return _load(run, checkpoint, "sequence_classifier", "text_generator")


def load_classifier(run: Run, checkpoint: str = "best") -> tuple[SequenceClassifier, SequenceDataModule]:
    """Load the task of a run of a sequence classifier, in evaluation mode, and its data."""
    return _load(run, checkpoint, "sequence_classifier")


def load_reader(run: Run, checkpoint: str = "best") -> tuple[Any, Any]:
    """Load the task of a run that answers after a sequence or at positions of it, in evaluation mode, and its data."""
    return _load(run, checkpoint, "sequence_classifier", "sequence_transducer")


def _load(run: Run, checkpoint: str, *allowed: str) -> tuple[Any, Any]:
    config = run.config()
    if (name := config.task.title) not in allowed:
        raise UserError(f"run={run.path}: is of a {name}; allowed: runs of a {' or a '.join(allowed)}")
    with open_finished_run(run, config, checkpoint) as (task, data, _):
        return task.eval(), data


def untrained_classifier(run: Run, data: SequenceDataModule, **changed: object) -> Task:
    """Build the task of a run with its initial weights; `changed` are keys of its `task` with new values."""
    config = run.config()
    system.seed(config.seed)
    return build_task(config.task.model_copy(update=changed), config.optimizer, data.spec).eval()
