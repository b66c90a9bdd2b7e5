"""Test that scripts/wandb/*.yaml call `train` with valid overrides."""

from pathlib import Path

import pytest
import yaml

from lightning_dl2 import compose

FILES = sorted((Path(__file__).parents[2] / "scripts" / "wandb").glob("*.yaml"))
GOALS = {"min": "minimize", "max": "maximize"}


def words(file: Path) -> list[list[str]]:
    """Return overrides as an agent types them: each value and bound of a parameter once, the others at their first."""
    values = {}
    for key, rule in yaml.safe_load(file.read_text(encoding="utf-8"))["parameters"].items():
        values[key] = rule.get("values") or [rule[end] for end in ("min", "max", "value") if end in rule]
    first = {key: each[0] for key, each in values.items()}
    sets = [first, *({**first, key: value} for key, each in values.items() for value in each[1:])]
    return [[f"{key}={value}" for key, value in each.items()] for each in sets]


def test_there_is_one_for_each_experiment():
    assert [file.stem for file in FILES] == ["graph", "palindrome", "text"]


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_value_composes(file):
    sweep = yaml.safe_load(file.read_text())
    start, *fixed, rest = sweep["command"]
    assert (start, rest) == ("${env}", "${args_no_hyphens}")
    assert fixed == ["${interpreter}", "-m", "lightning_dl2.train", f"experiment={file.stem}", "logger=wandb"]
    hashes = set()
    for typed in words(file):
        config = compose(*fixed[3:], *typed)
        assert sweep["metric"]["name"] in config.logged_metrics
        hashes.add(str(config))
    assert sweep["metric"]["goal"] == GOALS[config.mode_of(sweep["metric"]["name"])]
    assert len(hashes) == len(words(file))
