"""Test that every run of a tree is found once, and that unreadable ones are named without stopping the report."""

import errno
import json
import os

import pytest

from lightning_dl2.common.errors import UserError
from lightning_dl2.reporting.records import LARGEST_PICTURE, find, read
from lightning_dl2.run.lock import locked
from tests.reporting.made_up import PNG, made_up_run


def test_a_run_is_what_its_files_say(tmp_path):
    path = made_up_run(tmp_path, "task.cell=gru", seed=3, losses=(2.0, 0.5, 0.7), accuracy=0.8)
    record = read(path)
    assert (record.experiment, record.seed, record.state, record.steps) == ("palindrome", 3, "completed", 30)
    assert record.history("val/loss") == {10: 2.0, 20: 0.5, 30: 0.7}
    assert record.metrics["test/accuracy"] == 0.8 and record.choices["task.cell"] == "gru"
    assert record.monitor() == ("val/loss", "min")


@pytest.mark.parametrize(
    ("status", "state"),
    [("completed", "completed"), ("failed", "failed"), ("interrupted", "interrupted"), (None, "interrupted")],
)
def test_unfinished_and_failed_runs_are_known(status, state, tmp_path):
    assert read(made_up_run(tmp_path, status=status)).state == state


def test_a_run_that_trains_is_running(tmp_path):
    path = made_up_run(tmp_path, status=None)
    with locked(path):
        assert read(path).state == "running"
    assert read(path).state == "interrupted"


def test_a_row_that_is_being_written_does_not_count(tmp_path):
    path = made_up_run(tmp_path, status=None)
    with open(path / "metrics.csv", "a", encoding="utf-8") as file:
        file.write("40,0.3,0.")
    assert read(path).steps == 30


def test_values_that_are_no_numbers_are_in_no_history(tmp_path):
    path = made_up_run(tmp_path, losses=(2.0, float("nan"), float("inf")))
    assert read(path).history("val/loss") == {10: 2.0}


def test_any_tree_is_searched_and_nothing_counts_twice(tmp_path):
    first, second = made_up_run(tmp_path / "a" / "b"), made_up_run(tmp_path / "c", seed=1)
    inner = first / "wandb" / "offline-run-1" / "files"
    inner.mkdir(parents=True)
    (inner / "config.yaml").write_text("wandb_version: 1\n")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "config.yaml").write_text("")
    found = find([tmp_path, second, tmp_path / "again" / "a"])
    assert [record.path for record in found.records] == [first, second] and not found.skipped


def test_figures_beside_the_runs_are_found(tmp_path):
    run = made_up_run(tmp_path)
    (run / "figures").mkdir()
    for name in ("curves.png", "gradient_flow.png"):
        (run / "figures" / name).write_bytes(PNG)
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "spreading.png").write_bytes(PNG)
    (tmp_path / "analysis" / "empty.png").write_bytes(b"")
    found = find([tmp_path])
    assert found.pictures == [tmp_path / "analysis" / "spreading.png"]
    assert found.skipped == [(tmp_path / "analysis" / "empty.png", "is no PNG")]
    assert read(run).pictures() == [run / "figures" / "gradient_flow.png"]


@pytest.mark.parametrize("older", [None, "gates/saturation.csv", "memory/accuracy.csv"])
def test_runs_that_analyze_has_trained_are_not_mixed_with_others(older, tmp_path):
    mine = made_up_run(tmp_path / "runs")
    what, _, numbers = (older or "gates/").partition("/")
    trained = made_up_run(tmp_path / "analysis" / what / "runs", seed=1).parents[2]
    (tmp_path / "analysis" / what / "state.png").write_bytes(PNG)
    mark = trained / "trained_by_analyze" if older is None else trained.parent / numbers
    mark.touch()
    found = find([tmp_path / "runs", tmp_path / "analysis"])
    assert [record.path for record in found.records] == [mine]
    assert found.skipped == [(trained, "holds runs that analyze trained; name this directory to see them")]
    assert [path.name for path in found.pictures] == ["state.png"]
    assert [record.seed for record in find([trained]).records] == [1]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("config.yaml", b"a: [", "config.yaml is damaged"),
        ("config.yaml", b"\xff\xfe\x00", "config.yaml is damaged"),
        ("config.yaml", b"", "config.yaml is damaged: it is empty"),
        ("config.yaml", b"experiment: palindrome\nseed: nought\n", "config.yaml is not a run's"),
        ("result.json", b"", "result.json is damaged"),
        ("result.json", b'{"status": "comp', "result.json is damaged"),
        ("config.yaml", b"experiment: palindrome\nseed: 0\nwhen: 2024-13-45\n", "config.yaml is damaged"),
        ("config.yaml", b"experiment: palindrome\nseed: 0\nwhen: 2024-12-05\n", "config.yaml is damaged"),
        ("config.yaml", b"experiment: palindrome\nseed: 0\n1: 2\n", "config.yaml is damaged"),
        ("config.yaml", b"experiment: palindrome\nseed: 0\nit: &it {in: *it}\n", "config.yaml is damaged"),
        ("result.json", b"[1]", "result.json is damaged"),
        ("result.json", b"[" * 100_000, "result.json is damaged"),
        ("result.json", b'{"status": "completed", "metrics": {}, "steps": "many"}', "result.json is not a run's"),
        ("result.json", b'{"status": "completed", "metrics": {}, "steps": Infinity}', "result.json is not a run's"),
        ("result.json", b'{"status": "completed", "metrics": {}, "seconds": "1.5"}', "result.json is not a run's"),
        ("result.json", b'{"status": "completed", "metrics": {}, "parameters": [1]}', "result.json is not a run's"),
        (
            "result.json",
            b'{"status": "completed", "metrics": {"a": 1' + b"0" * 400 + b"}}",
            "result.json is not a run's",
        ),
        ("result.json", b'{"status": "well"}', "result.json is not a run's"),
        ("result.json", b'{"status": "completed", "metrics": {"test/loss": "low"}}', "result.json is not a run's"),
        ("metrics.csv", b"\x00\xff\n", "metrics.csv is damaged"),
        ("metrics.csv", b"step,val/loss\n1,low\n", "metrics.csv is damaged"),
        ("metrics.csv", b"loss,val/loss\n1,2\n", "metrics.csv is damaged"),
        ("metrics.csv", b"step,val/loss\n1,2,3\n", "metrics.csv is damaged"),
    ],
)
def test_damaged_directories_are_named_and_skipped(name, content, why, tmp_path):
    good, bad = made_up_run(tmp_path), made_up_run(tmp_path, seed=1)
    (bad / name).write_bytes(content)
    found = find([tmp_path])
    assert [record.path for record in found.records] == [good]
    ((path, told),) = found.skipped
    assert path == bad and told.startswith(why)


def test_a_stray_file_hides_no_run_below_it(tmp_path):
    path = made_up_run(tmp_path)
    (tmp_path / "metrics.csv").write_text("a,b\n")
    found = find([tmp_path])
    assert [record.path for record in found.records] == [path]
    assert found.skipped == [(tmp_path, "config.yaml is not there")]


def test_a_lock_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    path = made_up_run(tmp_path)

    def denied(directory):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("lightning_dl2.run.lock.holder", denied)
    assert find([tmp_path]).skipped == [(path, ".lock cannot be read: Permission denied")]


def test_links_are_followed_once(tmp_path):
    path = made_up_run(tmp_path / "scratch")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "here").symlink_to(tmp_path / "scratch")
    (path.parent / "back").symlink_to(tmp_path / "runs")
    assert [record.path.resolve() for record in find([tmp_path / "runs"]).records] == [path]


def test_pictures_and_samples_that_cannot_be_read(tmp_path):
    path = made_up_run(tmp_path, samples="well")
    (path / "samples" / "step=000040.txt").mkdir()
    (path / "samples" / "step=000050.txt").symlink_to("gone")
    (path / "figures").mkdir()
    for link in (path / "figures" / "a.png", tmp_path / "b.png"):
        link.symlink_to("gone")
    for pipe in (path / "figures" / "p.png", tmp_path / "p.png"):  # no process writes into it
        os.mkfifo(pipe)
    with open(tmp_path / "large.png", "wb") as file:
        file.write(PNG)
        file.truncate(LARGEST_PICTURE + 1)
    found = find([tmp_path])
    (record,) = found.records
    assert record.samples() == [("step=000030", "well")] and record.pictures() == []
    assert [(path.name, why) for path, why in found.skipped] == [
        ("b.png", "cannot be read: No such file or directory"),
        ("large.png", "is larger than 20,971,520 bytes"),
        ("p.png", "cannot be read: it is no regular file"),
    ]


def test_files_that_are_missing(tmp_path):
    without_config, without_metrics = made_up_run(tmp_path), made_up_run(tmp_path, seed=1)
    (without_config / "config.yaml").unlink()
    (without_metrics / "metrics.csv").unlink()
    found = find([tmp_path])
    assert found.skipped == [(without_config, "config.yaml is not there")]
    assert [(record.path, record.logged.names()) for record in found.records] == [(without_metrics, [])]


def test_what_was_moved_aside_is_no_run_more(tmp_path):
    path = made_up_run(tmp_path)
    path.rename(path.with_name("seed=0.old-1"))
    again = made_up_run(tmp_path)
    found = find([tmp_path])
    assert [record.path for record in found.records] == [again]
    assert found.skipped == [(path.with_name("seed=0.old-1"), "was moved aside by resume=restart")]


def test_runs_of_another_version_are_read(tmp_path):
    path = made_up_run(tmp_path)
    config = (path / "config.yaml").read_text()
    (path / "config.yaml").write_text(f"a_key_to_come: 1\n{config.replace('num_workers', 'was_called_otherwise')}")
    result = json.loads((path / "result.json").read_text())
    del result["seconds"], result["parameters"]
    (path / "result.json").write_text(json.dumps(result))
    assert read(path).state == "completed"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "then", "today"),
    [
        (("experiment=text", "data.tokens=bytes"), "test/bpc_xz", "test/bits_per_byte_xz"),
        (("experiment=text",), "test/bpc", "test/bpc"),
        (("experiment=mutag",), "test/no_graph_baseline", "test/counts_baseline"),
        (("experiment=cora",), "test/no_graph_baseline", "test/no_graph_baseline"),
    ],
)
def test_metrics_have_their_names_of_today(tmp_path, words, then, today):
    """Metrics of older runs get today's names, so that a column holds one thing."""
    path = made_up_run(tmp_path, *words)
    result = json.loads((path / "result.json").read_text("utf-8"))
    result["metrics"][then] = 1.5
    (path / "result.json").write_text(json.dumps(result), "utf-8")
    assert read(path).metrics[today] == 1.5 and (then == today or then not in read(path).metrics)


def test_directories_that_are_none_or_hold_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    for name, says in (("absent", "no such directory"), ("empty", "holds no run")):
        with pytest.raises(UserError, match=says):
            find([tmp_path / name])
