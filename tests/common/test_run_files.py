"""Test that readers of run files return plain values or report one line, whatever the file contains."""

import json
import os

import pytest
import yaml
from pydantic import ValidationError

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import open_to_append
from lightning_dl2.common.run_files import (
    Checkpoint,
    Damaged,
    plain_yaml,
    read_config,
    read_file,
    read_metrics,
    read_result,
)
from lightning_dl2.run.directory import Run
from lightning_dl2.sweeps.jobs import Job
from tests.conftest import TINY
from tests.run.test_directory import claimed

LAUGHS = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
MANY = "9" * 5000


def pipe(path):
    os.mkfifo(path)


def loop(path):
    path.symlink_to(path)


def dangling(path):
    path.symlink_to(path.with_name("nothing"))


def directory(path):
    path.mkdir()


ODD = pytest.mark.parametrize("make", [pipe, loop, dangling, directory])


def test_plain_yaml_is_what_pyyaml_reads(tiny):
    values = tiny().model_dump() | {"odd": [1e-8, -3, 0o17, None, True, "", "on", "2024-12-05", "a: b", "\u00e9", []]}
    assert plain_yaml(yaml.safe_dump(values, sort_keys=False).encode()) == values
    assert plain_yaml(b"") is None


@pytest.mark.parametrize(
    "text, says",
    [
        ("1: 2", "line 1 has a key that is not text"),
        ("null: 2", "line 1 has a key that is not text"),
        ("a:\n  [1, 2]: 3", "line 2 has a key that is not text"),
        ("a: 2024-12-05", "line 1 is of the type timestamp"),
        ("a: 2024-13-45", "line 1 is of the type timestamp"),
        ("a: !!set {b, c}", "line 1 is of the type set"),
        ("a: !!binary aGk=", "line 1 is of the type binary"),
        ("a: !!python/object/apply:os.system [ls]", "line 1 is of the type "),
        ("a: &a {b: *a}", "line [12] has an alias"),
        ("a: &a [1]\nb: *a", "line [12] has an alias"),
        (LAUGHS, "has an alias"),
        ("a: {b: 1}\nc:\n  <<: {d: 1}", "line 3 has a key that is not text"),
        ("a: 1\na: 2", "line 2 has the key a once more"),
        (f"a: {MANY}", "line 1 has a number of 5000 digits"),
        (f"a: 0x{MANY}", "line 1 has a number of 5002 digits"),
        ("a: !!int b", "invalid literal"),
        ("a: !!bool b", "line 1 is no bool"),
        ("a: [", "it is not YAML: while parsing"),
        ("a: 1\n---\nb: 2", "it is not YAML: expected a single document"),
        ("[" * 1_000_000, "line 1 is nested too deeply"),
        ("- " * 1_000, "line 1 is nested too deeply"),
    ],
)
def test_yaml_that_no_run_writes(text, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        plain_yaml(text.encode())
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(Damaged, match="config.yaml: is damaged: .*; fix: write it again as it was, or use") as told:
        read_config(tmp_path / "config.yaml")
    assert "\n" not in str(told.value)


def test_a_result_with_what_the_schema_names(tmp_path):
    path = tmp_path / "result.json"
    assert read_result(path) is None
    for values in (
        {"status": "completed", "metrics": {}},
        {"status": "failed", "metrics": {"a": None, "b": 1, "c": 1.5}, "steps": 0, "of_another_version": [1]},
    ):
        path.write_text(json.dumps(values))
        assert read_result(path) == values


@pytest.mark.parametrize(
    "text, says",
    [
        ("{", "is damaged"),
        ("[1]", "is damaged"),
        ("[" * 100_000, "is damaged"),
        ("\xff", "is damaged"),
        (f'{{"status": "completed", "metrics": {{}}, "steps": {MANY}}}', "is damaged"),
        ('{"status": "completed"}', "is not a run's: metrics: is missing"),
        ('{"metrics": {}}', "is not a run's: status: "),
        ('{"status": ["completed"], "metrics": {}}', "is not a run's: status: "),
        ('{"status": "completed", "metrics": [1]}', "is not a run's: metrics: "),
        ('{"status": "completed", "metrics": {}, "seconds": NaN}', "is not a run's: seconds: "),
        (f'{{"status": "completed", "metrics": {{"a": {MANY[:400]}}}}}', "is not a run's: metrics.a: "),
        ('{"status": "completed", "metrics": {}, "steps": "5"}', "is not a run's: steps: "),
        ('{"status": "completed", "metrics": {}, "steps": true}', "is not a run's: steps: "),
        ('{"status": "completed", "metrics": {}, "epochs": -1}', "is not a run's: epochs: "),
        ('{"status": "completed", "metrics": {}, "experiment": 5}', "is not a run's: experiment: "),
        ('{"status": "completed", "metrics": {}, "stopped_by": ["x"]}', "is not a run's: stopped_by: "),
    ],
)
def test_a_result_that_no_run_writes(text, says, tmp_path):
    path = tmp_path / "result.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(Damaged, match=f"result.json: {says}") as told:
        read_result(path)
    assert "\n" not in str(told.value)
    assert Run(tmp_path).result() is None  # training writes the result again


@pytest.mark.parametrize("text", ["\xff\n", "step,a\n1,low\n", "a\n1\n", f"step\n{MANY}\n", "step\n-1\n"])
def test_metrics_that_no_run_writes(text, tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(Damaged, match="metrics.csv: is damaged; fix: remove it, without its rows, or use"):
        read_metrics(path)


@ODD
def test_what_is_no_file_is_not_read(make, tmp_path):
    path = tmp_path / "file"
    assert read_file(path) is None
    make(path)
    for reader in (read_file, read_config, read_result, read_metrics):
        with pytest.raises(Damaged, match=f"{path}: cannot be read: "):
            reader(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    os.truncate(os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT), 1 << 40)
    with pytest.raises(Damaged, match="cannot be read: it is larger than 16,777,216 bytes"):
        read_file(tmp_path / "file")


@pytest.mark.slow
@ODD
def test_a_run_writes_into_files_of_its_own(make, tiny):
    config = tiny()
    run = claimed(config)
    whole = [".lock", "train.log", "result.json", "metrics.csv", "wandb_id"]
    for name in (*whole, "checkpoints/last.ckpt", "checkpoints/best.ckpt.sha256"):
        path = run.path / name
        path.unlink(missing_ok=True)
        make(path)
        before = run.config_file.stat().st_mtime_ns
        with pytest.raises(UserError, match=name) as told:
            claimed(config)
        assert "\n" not in str(told.value) and run.config_file.stat().st_mtime_ns == before
        path.rmdir() if path.is_dir() else path.unlink()


def test_what_is_written_in_place_follows_no_link(tiny, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("all of it")
    config = tiny()
    run = claimed(config)
    for name in (".lock", "train.log"):
        (run.path / name).unlink(missing_ok=True)
        (run.path / name).symlink_to(victim)
        with pytest.raises(ValueError, match=f"{name}.*is a .*link"):
            claimed(config)
        with pytest.raises(OSError, match="it is a symbolic link"):
            open_to_append(run.path / name)
        (run.path / name).unlink()
    assert victim.read_text() == "all of it"
    (run.path / "checkpoints").rmdir()
    (tmp_path / "scratch").mkdir()
    (run.path / "checkpoints").symlink_to(tmp_path / "scratch")  # a directory may be on another disk
    claimed(config)


@pytest.mark.slow
def test_an_id_that_is_none_of_wandbs(tiny):
    run, config = claimed(tiny()), tiny("logger=wandb")
    for content in ("", "a/b", "a\nb", "x" * 200):
        (run.path / "wandb_id").write_text(content)
        with pytest.raises(Damaged, match="wandb_id: is no id of W&B's; fix: remove it"):
            claimed(config)


def test_a_job_of_a_sweep_is_judged_by_the_same_readers(tmp_path):
    """A damaged file of one job does not end the sweep: the job trains again or reports the problem."""
    job = Job(1, {}, [*TINY, f"root={tmp_path}/runs"])
    run = claimed(job.config)
    for text in ("{", "[1]", '{"status": "completed"}', f'{{"status": "failed", "metrics": {{}}, "seconds": {MANY}}}'):
        run.result_file.write_text(text)
        run.metrics_file.write_text(f"step,val/loss\n{MANY},low\n")
        assert (job.state, job.metric("val/loss"), job.seconds(), job.history("val/loss")) == (
            "interrupted", None, None, {},
        )  # fmt: skip
    for make in (pipe, loop, dangling, directory):
        for path in (run.result_file, run.metrics_file):
            path.rmdir() if path.is_dir() else path.unlink()
            make(path)
        assert (job.state, job.history("val/loss")) == ("interrupted", {})


OWN = {"global_step": 3, "data_spec": {}}  # of a user's module, which saves no hyperparameters


@pytest.mark.parametrize(
    ("content", "is_whole"),
    [
        (OWN, True),
        (OWN | {"hyper_parameters": {"spec": [1]}}, True),  # an argument of this name
        (OWN | {"num_optimizers": 0, "optimizer_states": []}, True),
        (OWN | {"optimizer_states": []}, False),
        (OWN | {"num_optimizers": 2, "optimizer_states": [{"state": {}, "param_groups": []}]}, False),
        (OWN | {"num_optimizers": 0, "optimizer_states": [{}]}, False),
        (OWN | {"data_spec": [1]}, False),
        ({"global_step": 3}, False),
        ({"global_step": 3, "hyper_parameters": {}}, False),
        ({"global_step": 3, "hyper_parameters": {"spec": [1]}}, False),
        ({"global_step": 3, "hyper_parameters": {"spec": {}}}, True),
    ],
)
def test_a_checkpoint_without_hyperparameters_is_told_from_a_damaged_one(content, is_whole):
    if is_whole:
        Checkpoint.model_validate(content)
        return
    with pytest.raises(ValidationError):
        Checkpoint.model_validate(content)
