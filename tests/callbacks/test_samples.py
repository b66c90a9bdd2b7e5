"""Test that samples are written at thirds of the training as configured, and leave the training unchanged."""

import numpy as np
import pytest
import torch

from lightning_dl2 import train
from lightning_dl2.callbacks import Samples
from lightning_dl2.callbacks.samples import start_token
from lightning_dl2.decoding.vocabulary import Vocabulary
from tests.comparison import checkpoint_differences, metrics_differences
from tests.small import small_text, small_writer

ON = ("callbacks.samples.enabled=true", "callbacks.samples.length=20", "callbacks.samples.prompts=['the ☃cat ']")


@pytest.mark.slow
def test_files_at_thirds_and_the_end(tiny_text, tmp_path):
    words = (f"root={tmp_path}/with", "callbacks.weight_averaging.enabled=true", *ON)
    _, objects = train(tiny_text(*words))
    files = sorted((objects["run"].path / "samples").iterdir())
    assert [path.name for path in files] == ["step=000008.txt", "step=000016.txt", "step=000024.txt"]
    text = files[-1].read_text()
    assert text.count("--- greedy") == 5 and text.count("--- temperature") == 3
    assert "after 'the cat '" in text  # characters that the text lacks are left out
    _, without = train(tiny_text(f"root={tmp_path}/without", "callbacks.weight_averaging.enabled=true"))
    assert checkpoint_differences(objects["run"], without["run"]) == []
    assert metrics_differences(objects["run"], without["run"]) == []


@pytest.mark.slow
def test_a_resumed_run_writes_the_same(tiny_text, tmp_path):
    _, once = train(tiny_text(f"root={tmp_path}/once", *ON))
    for steps in (20, 24):
        _, twice = train(tiny_text(f"root={tmp_path}/twice", f"trainer.max_steps={steps}", *ON))
    last = "step=000024.txt"
    assert (once["run"].path / "samples" / last).read_text() == (twice["run"].path / "samples" / last).read_text()


@pytest.mark.parametrize("options", [{"prompts": []}, {"num_greedy": 0}, {"prompts": [], "num_greedy": 0}])
def test_nothing_asked_for(book, tmp_path, options):
    data = small_text(book)
    arguments = {"prompts": ["the"], "length": 5, "temperatures": [1.0], "num_greedy": 2, "greedy_length": 4}
    samples = Samples(tmp_path, **arguments | options)
    found = samples.samples(small_writer(data).net, data.vocabulary, 3)
    assert len(found) == len((arguments | options)["prompts"]) + (arguments | options)["num_greedy"]
    assert all(len(sample.text) in (4, 5) for sample in found)


def test_the_step_is_the_seed(book, tmp_path):
    """Samples depend on the step alone, in every process and whatever else draws random numbers."""
    data = small_text(book)
    arguments = {"prompts": ["the"], "length": 20, "temperatures": [1.0], "num_greedy": 8, "greedy_length": 1}
    samples, net = Samples(tmp_path, **arguments), small_writer(data).net
    found = []
    for step in (3, 4, 3):
        torch.manual_seed(len(found))
        np.random.seed(len(found))
        *greedy, drawn = samples.samples(net, data.vocabulary, step)
        found.append(([sample.prompt for sample in greedy], drawn.text))
    assert found[0] == found[2]
    assert found[0][0] != found[1][0] and found[0][1] != found[1][1]


def test_start_token():
    assert Vocabulary("characters", "ab\n").decode([start_token(Vocabulary("characters", "ab\n"))]) == "\n"
    assert start_token(Vocabulary("characters", "ab")) == 0
    assert start_token(Vocabulary("bytes")) == ord("\n")
