"""Test that a cached composition with changes equals a new composition by Hydra."""

import random

import pytest
from omegaconf import OmegaConf

from lightning_dl2.config import hydra_compose
from lightning_dl2.config.compose import compose
from lightning_dl2.config.conf_files import conf_dirs
from lightning_dl2.config.hydra_compose import compose_files
from lightning_dl2.config.overrides import flatten
from lightning_dl2.sweeps.grid import Grid
from lightning_dl2.sweeps.overrides import read_overrides

pytestmark = pytest.mark.slow

VALUES = ("7", "-1", "0.25", "1e-3", "true", "null", "word", "'a b'", "'it\\'s \\\\ \"x\"'", "''", "[]", "[1,x,[2.5]]")


def anew(words):
    base = hydra_compose._composed.__wrapped__("train", tuple(words), conf_dirs())
    return OmegaConf.to_container(base.raw, resolve=True), base.choices


@pytest.mark.parametrize(
    "structure",
    [
        (),
        ("experiment=text", "+optimizer.arguments.eps=1e-6"),
        ("experiment=course/baum_sweet", "debug=overfit"),  # task.embedding_size is ${task.hidden_size}
        ("experiment=csl", "data.positional={kind:random_walk,size:4}"),
        ("experiment=text", "data=text", "trainer=ddp_cpu", "optimizer=muon"),  # choices of groups whose keys are set
    ],
)
def test_changed_is_as_composed(structure):
    """Random keys with values of every type give the same result, before the schema has checked them."""
    draw = random.Random(str(structure))
    keys = [key for key, value in flatten(compose(*structure).model_dump()).items() if not isinstance(value, dict)]
    keys = [key for key in keys if key not in ("experiment", "debug")]
    for _ in range(3):
        chosen = [*draw.sample(keys, 12), "task.hidden_size", "seed", "seed"]
        words = [*structure, *(f"{key}={draw.choice(VALUES)}" for key in chosen)]
        draw.shuffle(words)
        assert repr(compose_files("train", tuple(words))) == repr(anew(words)), words


@pytest.mark.parametrize(
    "words",
    [
        ("data.positional.size=3", "data.positional={kind:laplacian,size:2}"),  # the order of overrides matters
        ("data.positional={kind:laplacian,size:2}", "data.positional.size=3"),
        ("task.hidden_size=${seed}", "seed=5"),
        ("~trainer.devices", "seed=5"),
    ],
)
def test_words_that_need_one_another(words):
    words = ("experiment=csl", *words)
    assert repr(compose_files("train", words)) == repr(anew(words))


def test_a_sweep_composes_once():
    """A sweep composes once for all jobs, of which there may be ten thousand."""
    hydra_compose._composed.cache_clear()
    grid = Grid(
        read_overrides(["experiment=course/text", "seed=range(0,12)", "task.hidden_size=4,8"]), ["logger.group=x"], None
    )
    assert len(grid.jobs) == 24 and {job.config.task.hidden_size for job in grid.jobs} == {4, 8}
    assert hydra_compose._composed.cache_info().misses <= 2  # of jobs and defaults
