"""Test that gradient flow measured during training equals that measured afterwards, and that training is unchanged."""

from itertools import count, product

import pytest
import torch
from pytorch_lightning.loggers.logger import DummyLogger

from lightning_dl2 import compose, train
from lightning_dl2.callbacks.gradient_flow import ROWS
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import WriteError, read_rows
from lightning_dl2.loggers.gradient_flow_csv import logged_rows
from lightning_dl2.nets.recurrent.gradient_flow import fixed_batch, gradient_flow
from lightning_dl2.run.directory import Run
from tests.comparison import contents, differing
from tests.conftest import TINY
from tests.failing_disk import failing_disk

pytestmark = pytest.mark.slow

ON = ("callbacks.gradient_flow.enabled=true", "callbacks.gradient_flow.every_n_steps=6", "trainer.max_steps=14")
STEPS = ["0", "6", "12"]


@pytest.mark.parametrize("experiment", ["tiny", "tiny_text"])
def test_training_is_what_it_would_be_without(experiment, request, tmp_path):
    words = ["trainer.max_steps=14", *(["task.weight_dropout=0.3"] if experiment == "tiny_text" else [])]
    composed = request.getfixturevalue(experiment)
    _, plain = train(composed(f"root={tmp_path}/without", *words))
    _, measured = train(composed(f"root={tmp_path}/with", *words, *ON))
    assert measured["run"].path.relative_to(tmp_path / "with") == plain["run"].path.relative_to(tmp_path / "without")
    assert differing(contents(plain["run"]), contents(measured["run"])) == []
    rows = read_rows(measured["run"].path / "gradient_flow.csv")
    assert list(dict.fromkeys(row["step"] for row in rows)) == STEPS
    assert (measured["run"].path / "figures" / "gradient_flow.png").stat().st_size > 10_000
    assert not (plain["run"].path / "gradient_flow.csv").exists()


def test_what_the_loggers_were_given_can_be_read_again(tiny, monkeypatch):
    """A resumed run sends its measurements to W&B again, which drops the offline data of a killed run."""
    given = Given()
    monkeypatch.setattr("lightning_dl2.training.trainer.build_loggers", lambda *_: [given])
    run = train(tiny(*ON, "task.bidirectional=true"))[1]["run"]
    found = logged_rows(run.gradient_flow_file, 14)
    assert [(int(row.pop("step")), {key: float(value) for key, value in row.items()}) for row in found] == given.rows
    parts = product("hc", "01", ("", "_reverse"), ("first", "last"))
    names = {f"gradient_flow/{state}_l{layer}{way}/{end}" for state, layer, way, end in parts}
    assert [step for step, _ in given.rows] == [0, 6, 12] and all(set(row) == names for _, row in given.rows)
    assert [row["step"] for row in logged_rows(run.gradient_flow_file, 11)] == ["0", "6"]
    assert logged_rows(run.path / "none.csv", 14) == []


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> list[str]:
    """Return the lines of a gradient_flow.csv with two measurements."""
    _, objects = train(compose(*TINY, f"root={tmp_path_factory.mktemp('flow')}", *ON, "trainer.max_steps=7"))
    return objects["run"].gradient_flow_file.read_text().splitlines(True)


@pytest.mark.parametrize("line", ["0,h,1,forward,0,x", "x,h,1,forward,0,0.5", f"{'9' * 5000},h,1,forward,0,0.5"])
def test_a_damaged_file_is_told(tmp_path, table, line):
    (tmp_path / "flow.csv").write_text("".join([*table[:3], f"{line}\n", *table[3:]]))
    with pytest.raises(UserError, match="flow.csv: is damaged; fix: remove it"):
        logged_rows(tmp_path / "flow.csv", 14)


def test_a_damaged_file_stops_what_would_log_it(tiny, monkeypatch):
    run = train(tiny(*ON, "trainer.max_steps=7"))[1]["run"]
    run.gradient_flow_file.write_text("garbage\ngarbage\n")
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(UserError, match="gradient_flow.csv: is damaged"):
        train(tiny("logger=wandb", "trainer.max_steps=9"))
    assert run.result()["status"] == "completed"  # nothing was trained


@pytest.mark.parametrize("line", ["0,h,1", "garbage", "0,h,1,forward,0,1.0,1.0", "\0,h,1,forward,0,0.5"])
def test_a_row_that_does_not_fit_takes_its_measurement_with_it(tmp_path, table, line, capsys):
    whole, damaged = tmp_path / "whole.csv", tmp_path / "damaged.csv"
    whole.write_text("".join(table))
    damaged.write_text("".join([*table[:2], f"{line}\n", *table[3:]]))
    steps = logged_rows(whole, 14)
    assert capsys.readouterr().err == "" and [row["step"] for row in steps] == ["0", "6"]
    assert logged_rows(damaged, 14) == steps[1:]
    assert capsys.readouterr().err == f"warning: {damaged}: 1 row that does not fit is left out\n"


@pytest.mark.parametrize("number", [1, 2])
def test_a_part_of_a_measurement_is_measured_again(tiny, tmp_path, number):
    """A measurement that a full disk or a kill cut short is repeated."""
    writes = count(1)
    fails = lambda _, *what: what == ("write", file) and next(writes) == number  # noqa: E731
    words = (*ON, f"trainer.max_steps={6 * number - 2}")
    file = Run.of(tiny(*words)).gradient_flow_file
    with failing_disk(tmp_path / "runs", fails), pytest.raises(WriteError, match=f"{file} cannot be written: No space"):
        train(tiny(*words))
    assert not file.read_text().endswith("\n")
    _, again = train(tiny(*words))
    _, once = train(tiny(f"root={tmp_path}/once", *words))
    assert file.read_text() == once["run"].gradient_flow_file.read_text()
    assert differing(contents(again["run"]), contents(once["run"])) == []


class Given(DummyLogger):
    """Keep what GradientFlow logs."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, dict[str, float]]] = []

    def log_metrics(self, metrics, step=None) -> None:
        if all(name.startswith("gradient_flow/") for name in metrics):
            self.rows.append((step, metrics))


def test_turned_on_where_no_step_is_due_it_draws_nothing(tiny):
    train(tiny("trainer.max_steps=7"))
    result, objects = train(tiny(*ON, "trainer.max_steps=9"))
    assert result["status"] == "completed" and not (objects["run"].path / "figures" / "gradient_flow.png").exists()


def test_the_numbers_are_those_of_the_net_at_that_step(tiny):
    _, objects = train(tiny(*ON, "trainer.max_steps=12", "task.bidirectional=true", "task.cell=gru"))
    task = objects["task"]
    task.load_state_dict(torch.load(objects["run"].last, weights_only=True)["state_dict"])
    norms = gradient_flow(task.net, *fixed_batch(objects["datamodule"].val_dataloader(), ROWS))["h"]
    rows = read_rows(objects["run"].path / "gradient_flow.csv")
    last = {tuple(row.values())[2:5]: float(row["norm"]) for row in rows if row["step"] == "12"}
    length = norms.shape[-1]
    assert len(last) == 2 * 2 * length
    for layer in (0, 1):
        for t in range(length):
            assert last[str(layer + 1), "forward", str(length - 1 - t)] == pytest.approx(norms[layer, 0, t].item())
            assert last[str(layer + 1), "backward", str(t)] == pytest.approx(norms[layer, 1, t].item())


def test_a_resumed_run_measures_the_same(tiny, tmp_path):
    _, once = train(tiny(f"root={tmp_path}/once", *ON))
    for steps in (6, 9, 14):  # stops at a measurement and between two
        _, twice = train(tiny(f"root={tmp_path}/twice", *ON, f"trainer.max_steps={steps}"))
    files = [objects["run"].path / "gradient_flow.csv" for objects in (once, twice)]
    assert files[0].read_text() == files[1].read_text()


def test_what_a_killed_run_measured_beyond_its_checkpoint_is_dropped(tiny, tmp_path):
    _, objects = train(tiny(*ON, "trainer.max_steps=6"))
    file = objects["run"].path / "gradient_flow.csv"
    whole = file.read_text()
    file.write_text(whole + "9,h,1,forward,0,1.0\n9,h,1,for")
    train(tiny(*ON, "trainer.max_steps=7"))
    assert file.read_text() == whole


def test_loggers_beside_the_csv_get_both_ends(tiny):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, objects = train(tiny(*ON, "logger=tensorboard"))
    events = EventAccumulator(str(objects["run"].path / "tensorboard")).Reload()
    rows = read_rows(objects["run"].path / "gradient_flow.csv")
    norms = {tuple(row.values())[:5]: float(row["norm"]) for row in rows}
    farthest = max(int(row["steps_back"]) for row in rows)
    for where, steps_back in (("last", 0), ("first", farthest)):
        found = {event.step: event.value for event in events.Scalars(f"gradient_flow/c_l1/{where}")}
        told = {int(step): norms[step, "c", "2", "forward", str(steps_back)] for step in STEPS}
        assert found == pytest.approx(told)
    assert not any("gradient_flow" in key for key in read_rows(objects["run"].metrics_file)[0])
