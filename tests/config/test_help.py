"""Test that --help and --cfg answer at once and are correct."""

import re
import subprocess
import sys

import pytest
import yaml

from lightning_dl2.config.compose import compose, compose_multirun
from lightning_dl2.config.conf_files import options
from lightning_dl2.config.overrides import flatten
from lightning_dl2.train import main
from tests.conftest import completed_values


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["palindrome", "text", "graph", "csl"])
def test_help_names_every_key(experiment, capsys):
    assert main(["--help"]) == 0
    words = set(capsys.readouterr().out.replace("{", " ").replace(":", " ").split())
    values = flatten(compose(f"experiment={experiment}").model_dump())
    missing = {key for key in values if key.rpartition(".")[2] not in words}
    assert missing <= {"experiment", "debug"}


@pytest.mark.parametrize("words", [("sweep=tpe",), ("launcher=submitit",), ("launcher=ray",)])
def test_help_names_every_key_of_a_sweep(words, capsys):
    assert main(["-m", "--help"]) == 0
    told = set(capsys.readouterr().out.replace(":", " ").split())
    assert {key.rpartition(".")[2] for key in flatten(compose_multirun(*words).model_dump())} <= told


def test_help_fits_80_columns(capsys):
    assert main(["--help"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > 80] == []


def test_help_offers_no_base(capsys):
    assert main(["--help"]) == 0
    assert re.findall(r"(?:^|[ /=])_\w+", capsys.readouterr().out) == []


def test_help_has_each_choice_with_its_keys(capsys):
    assert main(["--help"]) == 0
    titles = re.sub(r"\n# {3,}", " ", capsys.readouterr().out)
    for group in ("data", "task", "optimizer", "trainer", "logger", "callbacks", "sweep", "launcher"):
        found = [line.partition("=")[2].split(" | ") for line in titles.splitlines() if line.startswith(f"# {group}=")]
        assert {choice for choices in found for choice in choices} == set(options(group))


@pytest.mark.slow
def test_cfg_prints_what_compose_gives(capsys):
    assert main(["experiment=palindrome", "--cfg", "job", "task.cell=gru"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == compose("task.cell=gru").model_dump()


@pytest.mark.parametrize("words", [["--cfg"], ["--cfg", "hydra"], ["--cfg", "job", "seed=a"]])
def test_cfg_wrong(words, capsys):
    assert main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.slow
def test_no_torch_before_it_is_needed(tmp_path):
    """Help, configuration, user errors and results of finished runs do not import torch, which takes seconds."""
    code = f"""
import json, sys
from pathlib import Path
from lightning_dl2 import compose, evaluate, train as _
from lightning_dl2.train import main
from tests.conftest import completed_values
from lightning_dl2.predict import main as predict
from lightning_dl2.run.directory import Run
assert main(["--help"]) == predict(["--help"]) == 0
assert predict(["run=/nowhere", "out=-"]) == main(["experiment=graph", "data.fanouts=[1]"]) == 2
assert main(["--cfg", "job"]) == 0
assert main(["data.batch_size=0"]) == main(["-m", "seed=a,b"]) == 2
assert main(["-m", "seed=1,2", "dry=true", "root={tmp_path}/sweep"]) == 0
config = compose("root={tmp_path}")
run = Run.of(config)
with run.locked(config):
    run.begin(config, [])
run.write_result(config, **{completed_values(steps=9999)!r})
assert main(["root={tmp_path}"]) == 0
assert "torch" not in sys.modules and "wandb" not in sys.modules, "imported"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("seed=0")
