"""Test that untrained cells match the published gradients, and that the figure of a run shows every layer."""

import pytest
import torch

from lightning_dl2 import train
from lightning_dl2.analysis.recurrent import gradients
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import read_rows
from lightning_dl2.nets.recurrent.gradient_flow import band, fixed_batch, gradient_flow, steps_back
from lightning_dl2.training.open_run import load
from tests.analysis.typed import typed

pytestmark = pytest.mark.slow

# Initialisations differ by a factor of several; 40 of them give the mean to about a fifth.
SIZES = {
    "RNN": (8, 40),
    "GRU": (8, 3),
    "LSTM, forget bias 0": (8, 12),
    "LSTM, forget bias 1": (32, 40),
    "LSTM, forget bias 2": (8, 8),
    "LSTM, chrono": (8, 3),
}


@pytest.fixture(scope="module")
def cells():
    found = {"h": {}, "c": {}}
    for name, sizes in SIZES.items():
        for state, norms in gradients.measure_cells(100, 128, *sizes, {name: gradients.CELLS[name]}).items():
            found[state] |= norms
    return found


def at(norms, steps_back):
    return tuple(part[steps_back].item() for part in band(norms))


@pytest.mark.parametrize("name", ["RNN", "LSTM, forget bias 1", "LSTM, forget bias 2"])
def test_the_published_figures_to_a_factor_of_two(cells, name):
    mean, low, high = at(cells["h"][name], 98)
    assert 0.5 < mean / gradients.PUBLISHED[name] < 2
    assert low < gradients.PUBLISHED[name] < high


def test_the_published_figure_of_zero_forget_bias_is_one_of_many(cells):
    """Initialisations differ by a factor of hundreds, but agree in the factor per step."""
    norms, published = cells["h"]["LSTM, forget bias 0"], gradients.PUBLISHED["LSTM, forget bias 0"]
    mean, low, high = at(norms, 98)
    assert high / low > 30 and low < published < high
    factors = [(far / 1e-2) ** (1 / 98) for far in (mean, published)]
    assert factors[0] == pytest.approx(factors[1], rel=0.03)


def test_next_to_the_loss_all_cells_get_the_same(cells):
    for norms in cells["h"].values():
        assert at(norms, 0)[0] == pytest.approx(1.05e-2, rel=0.1)


def test_zero_biases_make_the_lstm_forget_far_faster_than_the_rnn(cells):
    h = {name: at(norms, 98)[0] for name, norms in cells["h"].items()}
    assert h["LSTM, forget bias 0"] < 1e-6 * h["RNN"]
    assert h["LSTM, forget bias 0"] < h["LSTM, forget bias 1"] < h["LSTM, forget bias 2"]
    assert h["GRU"] < 1e-6 * h["RNN"]  # its update gate has bias zero too


def test_chrono_keeps_the_cell_state(cells):
    """With chrono initialisation, forget gates stay open for about the length of the sequence."""
    mean, _, _ = band(cells["c"]["LSTM, chrono"])
    assert mean[98] > 0.1 * mean[0]


def curve(row_of, table):
    return [float(row["geometric_mean"]) for row in table if all(row[key] == value for key, value in row_of.items())]


@pytest.mark.parametrize("words", [["task.cell=lstm", "task.bidirectional=true"], ["task.cell=rnn"]])
def test_of_a_sequence_run(tiny, tmp_path, words):
    _, objects = train(tiny(*words))
    run, data = objects["run"], objects["datamodule"]
    gradients.analyze(tmp_path, typed(gradients.Arguments, {"run": str(run.path), "sequences": "16", "seeds": "2"}))
    task = load(run).task
    flow = gradient_flow(task.net.double(), *fixed_batch(data.val_dataloader(), 16))
    table = read_rows(tmp_path / "gradients.csv")
    for state, norms in flow.items():
        for layer in (0, 1):
            for direction, words in enumerate(["", ", backwards"][: norms.shape[1]]):
                name = f"layer {layer + 1}{words}"
                trained = curve({"gradient": f"dL/d{state}", "net": f"{name}, trained"}, table)
                assert trained == pytest.approx(steps_back(norms)[layer, direction].tolist())
                untrained = curve({"gradient": f"dL/d{state}", "net": f"{name}, untrained"}, table)
                assert len(untrained) == len(trained) and untrained != pytest.approx(trained, rel=0.01)
    for row in table:  # two initialisations differ; the trained net has one
        assert (float(row["lowest"]) < float(row["highest"])) == row["net"].endswith("untrained")
    assert (tmp_path / "gradients.png").stat().st_size > 10_000


def test_one_token_has_no_step_back(tiny, tmp_path):
    _, objects = train(tiny("data.sequence_length=2"))
    table = gradients.analyze(tmp_path, typed(gradients.Arguments, {"run": str(objects["run"].path), "seeds": "2"}))
    assert set(table.columns[6].cells) == {"-"}


def test_of_a_text_run(tiny_text, tmp_path):
    _, objects = train(tiny_text("task.layer_norm=true", "task.cell=gru"))
    values = {"run": str(objects["run"].path), "checkpoint": "last", "seeds": "2"}
    table = gradients.analyze(tmp_path, typed(gradients.Arguments, values))
    assert table.row_count == 4
    rows = read_rows(tmp_path / "gradients.csv")
    assert {row["net"] for row in rows} == {f"layer {n}, {how}" for n in (1, 2) for how in ("trained", "untrained")}
    task = load(objects["run"], "last").task
    flow = gradient_flow(task.net.double(), *fixed_batch(objects["datamodule"].val_dataloader(), 128))
    trained = curve({"gradient": "dL/dh", "net": "layer 2, trained"}, rows)
    assert trained == pytest.approx(flow["h"][1, 0].flip(0).tolist())


def test_wrong_values_write_nothing(tiny, tiny_graph, tmp_path):
    _, sequence = train(tiny("trainer.max_steps=5"))
    _, graph = train(tiny_graph("trainer.max_steps=5"))
    wrong = {
        "length=1": {"length": "1"},
        "seeds=0": {"seeds": "0"},
        "holds no run": {"run": str(tmp_path)},
        "length=50: a run has its own": {"run": str(sequence["run"].path), "length": "50"},
        "checkpoint=x": {"run": str(sequence["run"].path), "checkpoint": "x"},
        "is of a graph_net": {"run": str(graph["run"].path)},
    }
    for message, values in wrong.items():
        with pytest.raises(UserError, match=message):
            gradients.analyze(tmp_path / "out", typed(gradients.Arguments, values))
    assert not (tmp_path / "out").exists()


def test_the_command_without_a_run(tmp_path):
    values = {"length": "6", "hidden_size": "4", "sequences": "4", "seeds": "2"}
    table = gradients.analyze(tmp_path, typed(gradients.Arguments, values))
    assert table.row_count == 6 + 4
    assert len(read_rows(tmp_path / "gradients.csv")) == (6 + 4) * 6
    assert torch.get_default_dtype() == torch.float32
