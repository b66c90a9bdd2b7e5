"""Test experiments that stand outside the package: the scaffold's, and a copy of a built-in one."""

import shutil
import sys
from pathlib import Path

import pytest
import yaml

import lightning_dl2
from lightning_dl2 import compose, evaluate
from lightning_dl2.report import main as report
from lightning_dl2.resume.exact_resume import ExactResume
from lightning_dl2.run.directory import Run
from lightning_dl2.scaffold.write import write_project
from lightning_dl2.train import main
from tests.comparison import contents, differing
from tests.conftest import TINY
from tests.sweeps.sweeping import Sweeper

PACKAGE = Path(lightning_dl2.__file__).parent
TRAINER = tuple(word for word in TINY if word.startswith(("trainer.", "callbacks.")))
SMALL = ("experiment=points", "data.size=56", "data.batch_size=8", "task.hidden_size=8", "task.dropout=0.3",
         "trainer.limit_val_batches=1", "trainer.limit_test_batches=1", *TRAINER)  # fmt: skip


@pytest.fixture
def outside(tmp_path, monkeypatch, as_before):
    """Return a directory with a package `points`, in which commands are typed."""
    project = write_project("points", tmp_path)
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "path", [str(project), *sys.path])
    monkeypatch.setenv("LIGHTNING_DL2_CONF", str(project / "conf"))
    monkeypatch.setenv("PYTHONPATH", str(project))  # of forked jobs
    yield project
    for name in [name for name in sys.modules if name.partition(".")[0] == "points"]:
        del sys.modules[name]


def train(*words: str) -> Run:
    assert main([*words]) == 0, words
    return Run.of(compose(*words))


def killed(monkeypatch: pytest.MonkeyPatch, path: Path, step: int, copy: Path) -> None:
    """Keep what a run has on the disk at a step, as `kill -9` leaves it."""
    original = ExactResume.on_train_batch_start

    def copies(self, trainer, *args):
        if trainer.global_step == step and not copy.exists():
            shutil.copytree(path, copy, ignore=shutil.ignore_patterns(".lock"))
        original(self, trainer, *args)

    monkeypatch.setattr(ExactResume, "on_train_batch_start", copies)


@pytest.mark.slow
def test_a_project_of_the_scaffold_trains_is_killed_resumes_and_is_shown(outside, monkeypatch, capsys):
    """With 0 and with 2 workers, a run that is killed at step 10 ends with the bits of one that never was."""
    found = []
    for workers in (0, 2):
        words = [*SMALL, f"data.num_workers={workers}"]
        one, other = (Run.of(compose(*words, f"root={root}{workers}")) for root in ("whole", "killed"))
        killed(monkeypatch, one.path, 10, other.path)
        train(*words, f"root=whole{workers}")
        assert Run(other.path).result() is None
        train(*words, f"root=killed{workers}")
        assert "from step 8" in other.log_file.read_text("utf-8")
        assert not differing(contents(one), contents(other))
        found.append({place: value for place, value in contents(one).items() if "state_dict" in place})
    assert not differing(*found)  # the workers change nothing
    metrics = one.result()["metrics"]
    assert {"test/accuracy", "val/loss"} <= metrics.keys()
    assert evaluate(one) == {key: value for key, value in metrics.items() if key.startswith("test/")}
    assert report(["whole0", "killed2", "out=seen.html"]) == 0
    shown = Path("seen.md").read_text("utf-8")
    assert "## points" in shown and "test/accuracy" in shown and f"{metrics['test/accuracy']:.4g}" in shown
    capsys.readouterr()
    model = Path("points", "model.py")
    model.write_text(model.read_text("utf-8") + "\n# another code\n", "utf-8")
    evaluate(one)
    assert "model.py: has changed since the run was begun" in capsys.readouterr().err


@pytest.mark.slow
def test_a_project_is_swept(outside, monkeypatch, tmp_path, capsys):
    sweeper = Sweeper(tmp_path / "swept", monkeypatch)
    words = [word for word in SMALL if not word.startswith(("task.hidden_size", "trainer.max_steps"))]
    code = main(["-m", *words, "trainer.max_steps=6", "task.hidden_size=8,16", f"root={tmp_path / 'swept'}"])
    assert code == 0 and len(sweeper.runs()) == 2
    assert "best" in (told := capsys.readouterr().err) and "task.hidden_size=16" in told


WRONG = {
    "task.hiden_size=3": "task.hiden_size=3: there is no key task.hiden_size; did you mean hidden_size?",
    "task.hidden_size=ten": 'task.hidden_size="ten": allowed: an integer; task is points.model.Net',
    "data.size=3": "data.size=3: allowed: greater than or equal to 10; data is points.data.DigitsData",
    "task._target_=points.model.Nets": "task._target_=points.model.Nets: points.model has no Nets; did you mean Net?",
    "experiment=pints": "experiment=pints: did you mean points",
}


@pytest.mark.slow
def test_wrong_words_are_one_line(outside, capsys):
    for word, says in WRONG.items():
        before = [] if word.startswith("experiment=") else ["experiment=points"]
        assert main([*before, word]) == 2
        told = capsys.readouterr().err
        assert told.startswith(f"error: {says}") and told.count("\n") == 1
    assert not Path("runs").exists()


COPIES = {"SequenceClassifier": "CopiedTask", "SequenceDataModule": "CopiedData"}


def copied(file: Path) -> str:
    text = file.read_text("utf-8")
    for name, other in COPIES.items():
        text = text.replace(name, other)
    return text


@pytest.mark.slow
def test_the_built_in_experiments_use_no_door_that_a_stranger_has_not(outside):
    """A copy of task, data module and YAML gives the same bits under other names."""
    shutil.copy(PACKAGE / "tasks" / "sequence_classifier.py", "points/copied_task.py")
    Path("points/copied_task.py").write_text(copied(PACKAGE / "tasks" / "sequence_classifier.py"), "utf-8")
    Path("points/copied_data.py").write_text(copied(PACKAGE / "data" / "sequences" / "module.py"), "utf-8")
    words = [*TINY, "callbacks.solved.enabled=false", "optimizer.name=Adam"]
    config = compose("experiment=palindrome", *words)
    own = {
        "data": {"_target_": "points.copied_data.CopiedData", **config.data.arguments},
        "task": {"_target_": "points.copied_task.CopiedTask", **config.task.arguments},
        "optimizer": config.optimizer.model_dump(),
    }
    Path("conf/experiment/copied.yaml").write_text(f"# @package _global_\n{yaml.safe_dump(own)}", "utf-8")
    one = contents(train("experiment=palindrome", *words))
    other = contents(train("experiment=copied", *TRAINER, "callbacks.solved.enabled=false"))
    other = {place.replace("CopiedData", "SequenceDataModule"): value for place, value in other.items()}
    named = [f"result.json/{key}" for key in ("config_hash", "experiment", "test_split", "variant")]
    assert len(one) > 400 and differing(one, other) == named
