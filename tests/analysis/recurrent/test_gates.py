"""Test identities of gates and states for every cell, and the label in states of trained and untrained nets."""

import csv

import pytest
import torch

from lightning_dl2 import compose, train
from lightning_dl2.analysis.recurrent import gate_figures as figures
from lightning_dl2.analysis.recurrent import gate_statistics as statistics
from lightning_dl2.analysis.recurrent.gates import Arguments, analyze
from lightning_dl2.analysis.recurrent.trained import load_classifier, train_small, untrained_classifier
from lightning_dl2.common.errors import UserError
from lightning_dl2.data.sequences.generators import draw_batch
from lightning_dl2.data.sequences.module import EVALUATION_SEED
from lightning_dl2.nets import RecurrentClassifier
from tests.analysis.typed import typed
from tests.conftest import TINY

OWN = "task.cell=tests.nets.recurrent.strangers.ModulePeephole"

GATED = [
    {"cell": "lstm"},
    {"cell": "gru"},
    {"cell": "gru", "reset_after": False},
    {"cell": "peephole"},
    {"cell": "peephole", "peephole": "assignment"},
]


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    """Return the run of an LSTM that learned the first of ten digits; the number of its steps depends on the CPU."""
    words = ("data.sequence_length=11", "task.hidden_size=32", "trainer.max_steps=2000", "callbacks.solved.threshold=1")
    run = train_small(tmp_path_factory.mktemp("solved"), *words)
    assert run.result()["metrics"]["test/accuracy"] > 0.999
    return run


def palindromes(length: int, size: int = 2048) -> tuple[torch.Tensor, torch.Tensor]:
    return draw_batch("decimal_palindrome", length, size, seed=0, split="test", step=0)


def probes(net: RecurrentClassifier, length: int, shuffled: bool = False) -> dict[str, torch.Tensor]:
    tokens, labels = palindromes(length)
    trace = statistics.read(net, tokens)
    if shuffled:
        labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    return {name: statistics.probe(trace[name], labels, 1024) for name in net.recurrent.cell.state}


@pytest.mark.parametrize("options", GATED, ids=lambda options: "-".join(map(str, options.values())))
@pytest.mark.parametrize("direction", [0, 1])
def test_a_state_is_what_was_written_and_kept_and_the_last_one_what_survived(options, direction):
    torch.manual_seed(0)
    net = RecurrentClassifier(10, 10, hidden_size=7, num_layers=2, bidirectional=True, **options).double()
    tokens, _ = palindromes(9, 5)
    trace = statistics.read(net, tokens, 1, direction)
    written, kept = statistics.written_and_kept(net.recurrent.cell, trace)
    state = trace[statistics.state_name(net.recurrent.cell)]
    assert torch.allclose(written + kept, state, atol=1e-14)
    assert torch.allclose(statistics.surviving(net.recurrent.cell, trace).sum(0), state[-1], atol=1e-14)
    _, final = net.recurrent(net.encode(tokens))
    final = final if isinstance(final, torch.Tensor) else final[-1]
    assert torch.allclose(state[-1], final[2 + direction], atol=1e-12)  # of the fused path, in reading order


def test_the_plain_rnn_has_nothing_to_keep_by():
    net = RecurrentClassifier(10, 10, cell="rnn", hidden_size=3)
    trace = statistics.read(net, palindromes(5, 4)[0])
    with pytest.raises(ValueError, match="no gate that keeps"):
        statistics.written_and_kept(net.recurrent.cell, trace)


def test_label_share_tells_a_store_from_a_refresher():
    """The label share differs between a label written once and one rewritten at every step."""
    labels = torch.arange(8) % 4
    values = torch.stack([labels, labels**2], 1).double()  # [B, H]
    noise = torch.tensor([1.0, -1.0]).repeat_interleave(4)[:, None].double()  # the same noise for each label
    once = torch.stack([values, noise.expand(8, 2), 2 * noise.expand(8, 2)])
    assert statistics.label_share(once, labels).tolist() == pytest.approx([1, 0, 0], abs=1e-12)
    again = torch.stack([values, values, 2 * values])
    assert statistics.label_share(again, labels).tolist() == pytest.approx([1 / 4, 1 / 4, 1 / 2])
    assert statistics.separation(once, labels)[:2].tolist() == [[pytest.approx(1)] * 2, [pytest.approx(0)] * 2]


def test_shares_between_labels_weigh_each_label_by_its_sequences():
    """Shares with a rare label equal their definition, computed sequence by sequence."""
    labels = torch.tensor([0, 0, 0, 0, 0, 2, 2, 5])
    parts = torch.randn(3, 8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    means = torch.stack([parts[:, labels == label].mean(1) for label in labels], 1)  # mean of each label's sequences
    expected = means.var(1, correction=0) / parts.var(1, correction=0)
    torch.testing.assert_close(statistics.separation(parts, labels), expected)
    centred = means - means.mean(1, keepdim=True)
    covariances = (centred * centred.sum(0)).sum((1, 2))
    torch.testing.assert_close(statistics.label_share(parts, labels), covariances / covariances.sum())


def test_saturation_counts_a_tenth_of_the_range_at_either_end():
    values = torch.tensor([0.05, 0.5, 0.95, 0.99]).view(4, 1, 1)
    assert [share.item() for share in statistics.saturation(values, (0, 1))] == [1 / 4, 1 / 2]
    assert [share.item() for share in statistics.saturation(2 * values - 1, (-1, 1))] == [1 / 4, 1 / 2]


@pytest.mark.slow
def test_a_solved_net_holds_the_first_digit_at_every_step(solved):
    task, data = load_classifier(solved)
    for values in probes(task.net, 11).values():
        assert values.min() > 0.99
    for values in probes(task.net, 11, shuffled=True).values():  # with shuffled labels a probe is at chance
        assert values.max() < 0.15


@pytest.mark.slow
def test_an_untrained_net_forgets_it_the_later_the_higher_its_forget_bias():
    last = []
    for forget_bias in (0.0, 2.0, 5.0):
        torch.manual_seed(0)
        options = {"initialization": "orthogonal", "embedding_size": 128, "forget_bias": forget_bias}
        net = RecurrentClassifier(10, 10, cell="lstm", hidden_size=64, encoding="embedding", **options)
        values = probes(net, 21)["c"]
        assert values[0] == 1
        last.append(values[-1].item())
    assert last[0] < 0.16 and last[0] < last[1] < last[2], last  # chance is 0.1


@pytest.mark.slow
def test_untrained_is_where_the_training_began(solved):
    _, data = load_classifier(solved)
    tokens, labels = palindromes(11)
    assert (untrained_classifier(solved, data)(tokens).argmax(-1) == labels).float().mean() < 0.15
    changed = untrained_classifier(solved, data, forget_bias=5.0).net.recurrent.weights(0)["bias_ih"]
    assert (changed[32:64] == 5).all()


@pytest.mark.slow
def test_untrained_are_the_weights_of_the_runs_own_seed(tiny):
    _, objects = train(tiny("seed=3", "optimizer.learning_rate=1e-30", "trainer.max_steps=5"))  # the net learns nothing
    task, data = load_classifier(objects["run"])
    first = untrained_classifier(objects["run"], data).state_dict()
    assert first.keys() == task.state_dict().keys()
    for name, value in task.state_dict().items():
        torch.testing.assert_close(value, first[name], rtol=0, atol=1e-20)


@pytest.mark.slow
def test_the_command_writes_what_it_shows(solved, tmp_path):
    table = analyze(tmp_path / "out", typed(Arguments, {"run": str(solved.path), "size": "512", "sequence": "7"}))
    written = {path.name for path in (tmp_path / "out").iterdir()}
    figures = {"sequence", "saturation", "state", "label"}
    assert {f"{name}.{kind}" for name in figures for kind in ("png", "csv")} <= written
    assert table.row_count == 4 + 4

    def rows(name):
        return list(csv.DictReader((tmp_path / "out" / name).open()))

    state = rows("state.csv")
    assert len(state) == 10 and sum(float(row["label_share"]) for row in state) == pytest.approx(1)
    assert all(float(row["state"]) <= float(row["written"]) + float(row["kept"]) + 1e-6 for row in state)
    shares = [float(row["share"]) for row in rows("saturation.csv") if row["gate"] == "f"]
    assert sum(shares) == pytest.approx(1)
    assert len(rows("sequence.csv")) == 10 * 32
    assert min(float(row["c_trained"]) for row in rows("label.csv")) > 0.99
    task, data = load_classifier(solved)
    tokens, labels = draw_batch(data.task, data.length, 512, seed=EVALUATION_SEED, split="test", step=0)
    for name, net in (("trained", task.net), ("untrained", untrained_classifier(solved, data).net)):
        expected = statistics.probe(statistics.read(net, tokens)["h"], labels, 256)
        assert [float(row[f"h_{name}"]) for row in rows("label.csv")] == pytest.approx(expected.tolist())


@pytest.mark.slow
@pytest.mark.parametrize("words", [("task.cell=rnn",), ("task.cell=bilstm",), (OWN,)])
def test_cells_of_any_kind_are_drawn(words, tmp_path):
    _, objects = train(compose(*TINY, *words, "trainer.max_steps=6", f"root={tmp_path}/runs"))
    where = {"layer": "2", "direction": "backward" if "bilstm" in words[0] else "forward"}
    analyze(tmp_path / "out", typed(Arguments, where | {"run": str(objects["run"].path), "size": "64"}))
    task, data = load_classifier(objects["run"])
    tokens, _ = draw_batch(data.task, data.length, 64, seed=EVALUATION_SEED, split="test", step=0)
    h = statistics.read(task.net, tokens, 1, int("bilstm" in words[0]))["h"][:, 0]  # layer 2 and its last direction
    rows = list(csv.DictReader((tmp_path / "out" / "sequence.csv").open()))
    shown = torch.tensor([[float(row["h"]) for row in rows if row["unit"] == str(unit)] for unit in range(8)])
    torch.testing.assert_close(shown.T, h)
    assert (tmp_path / "out" / "state.png").exists() == (words[0] != "task.cell=rnn")
    assert (tmp_path / "out" / "label.png").exists()


@pytest.mark.slow
def test_the_baseline_is_counted_where_there_are_few_sequences(tiny, tmp_path, monkeypatch):
    _, objects = train(tiny("experiment=random_combinations", "data.sequence_length=5", "trainer.max_steps=5"))
    levels = []
    monkeypatch.setattr(figures, "draw_label", lambda accuracies, shares, baseline, *rest: levels.append(baseline))
    analyze(tmp_path, typed(Arguments, {"run": str(objects["run"].path), "size": "22"}))
    data = objects["datamodule"]
    _, labels = draw_batch(data.task, data.length, 22, seed=EVALUATION_SEED, split="test", step=0)
    assert levels == [labels[11:].bincount().max().item() / 11] != [0.2]


@pytest.mark.slow
def test_a_text_is_drawn_with_its_characters(tiny_text, tmp_path):
    _, objects = train(tiny_text("trainer.max_steps=6", "task.layer_norm=true"))
    analyze(tmp_path / "out", typed(Arguments, {"run": str(objects["run"].path), "layer": "2", "size": "8"}))
    assert not (tmp_path / "out" / "label.png").exists()
    rows = list(csv.DictReader((tmp_path / "out" / "sequence.csv").open()))
    text = "".join(row["token"] for row in rows[:32])
    data = objects["datamodule"]
    assert text == data.vocabulary.decode(data.splits["test"][:32].tolist())
    with pytest.raises(UserError, match="sequence=7: allowed: whole numbers, 0 to"):
        analyze(tmp_path / "no", typed(Arguments, {"run": str(objects["run"].path), "sequence": "7", "size": "8"}))
    assert not (tmp_path / "no").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"run": "/nowhere"}, "run=/nowhere: holds no run"),
        ({"layer": "2"}, "layer=2: is above the top layer; allowed: 1 to 1"),
        ({"direction": "backward"}, "direction=backward: the net reads forwards only"),
        ({"direction": "back"}, "direction=back: did you mean backward"),
        ({"size": "4"}, "size=4: allowed: whole numbers, 8 or more"),
        ({"sequence": "64"}, "sequence=64: allowed: whole numbers, 0 to 63"),
        ({"checkpoint": "first"}, "checkpoint=first: there is no file"),
    ],
)
def test_wrong_values_are_told_and_nothing_is_written(words, says, solved, tmp_path):
    with pytest.raises(UserError, match=says):
        analyze(tmp_path / "out", typed(Arguments, {"run": str(solved.path), "size": "64"} | words))
    assert not (tmp_path / "out").exists()
