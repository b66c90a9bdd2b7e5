"""Test the search for runs in directories and in trees of them."""

import pytest

from lightning_dl2.analysis.recurrent.trained import find_runs
from lightning_dl2.common.errors import UserError


def test_directories_are_told_apart_though_their_names_have_commas(tmp_path):
    names = ("cell=gru,hidden_size=8-1", "cell=lstm-2")
    for name in names:
        (tmp_path / name / "seed=0").mkdir(parents=True)
        (tmp_path / name / "seed=0" / "config.yaml").touch()
    found = find_runs(",".join(str(tmp_path / name) for name in names))
    assert [run.path for run in found] == [tmp_path / name / "seed=0" for name in names]
    with pytest.raises(UserError, match="run=.*nowhere: there is no such directory"):
        find_runs(f"{tmp_path / names[0]},{tmp_path}/nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="run=.*empty: holds no run"):
        find_runs(str(tmp_path / "empty"))


def test_only_runs_are_found_not_what_they_hold_nor_what_was_moved_aside(tmp_path):
    run = tmp_path / "default-1" / "seed=0"
    for directory in (run, run / "wandb" / "run-1" / "files", run.with_name("seed=0.old-1")):
        directory.mkdir(parents=True)
        (directory / "config.yaml").touch()
    (run / "again").symlink_to(tmp_path)
    trained = tmp_path / "analysis" / "gates" / "runs"
    (trained / "seed=0").mkdir(parents=True)
    (trained / "seed=0" / "config.yaml").touch()
    (trained / "trained_by_analyze").touch()
    assert [found.path for found in find_runs(str(tmp_path))] == [run]
    assert [found.path for found in find_runs(str(trained))] == [trained / "seed=0"]
    aside = run.with_name("seed=0.old-1")
    assert [found.path for found in find_runs(str(aside))] == [aside]
