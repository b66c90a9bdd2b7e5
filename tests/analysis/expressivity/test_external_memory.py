"""Test the picture of an external memory: a stack of hand-set weights holds the string from its last symbol on."""

import csv
from types import SimpleNamespace

import pytest
import torch

from lightning_dl2 import compose, train
from lightning_dl2.analysis.expressivity.external_memory import hold
from lightning_dl2.analysis.expressivity.readers import read_explicitly
from lightning_dl2.analyze import main
from lightning_dl2.common.errors import UserError
from lightning_dl2.data.sequences.formal.context_free import ReverseString
from lightning_dl2.nets import CELLS, RecurrentTransducer
from lightning_dl2.nets.recurrent.cells import StackRNN
from lightning_dl2.nets.recurrent.own_cells import load_own
from tests.conftest import TRANSDUCER
from tests.nets.recurrent.strangers import EquationsGRU

THERE, VALUE, TOP = range(3)  # units of the net that reverses
EMPTY = 2


def reverser() -> SimpleNamespace:
    """Return a net that pushes 1 for a one and -1 for a zero, and pops at empty places."""
    cell = {"_target_": "lightning_dl2.nets.recurrent.cells.StackRNN", "stack_size": 12, "cell_size": 1}
    net = RecurrentTransducer(3, 2, cell=cell, hidden_size=3).double()
    w = net.recurrent.weights(0)
    with torch.no_grad():
        for weight in (*w.values(), net.output.weight, net.output.bias):
            weight.zero_()
        w["weight_ih"][THERE, :EMPTY] = 1
        w["weight_ih"][VALUE, 1] = 1
        w["weight_ih"][TOP, 3] = 1
        w["weight_actions"][0, THERE], w["bias_actions"][1] = 100, 50  # push beside a bit, else pop
        w["weight_push"][0, VALUE], w["weight_push"][0, THERE] = 2, -1
        net.output.weight[1, TOP], net.output.bias[0] = 2, 1
    return SimpleNamespace(net=net)


def test_the_stack_holds_the_string_from_its_last_symbol_on():
    string = torch.tensor([[0, 1, 1, 0, 1]])
    tokens, targets = map(torch.from_numpy, ReverseString.append_answers(string.numpy(), string.flip(1).numpy(), EMPTY))
    answers, values = read_explicitly(reverser(), (tokens, targets), 0)
    assert torch.equal(answers[:, 5:], targets[:, 5:])
    assert values["push"][:5].min() > 0.999 and values["pop"][5:].min() > 0.999
    held = hold(values["S"][:, 0], values["v"][:, 0], string[0])
    assert held.delay == 0
    for step in range(5):
        assert torch.equal(held.symbols[step, : step + 1], string[0, : step + 1].flip(0))
    expected = torch.tensor([1.0, 2, 3, 4, 5, 4, 3, 2, 1, 0]).double()  # the depth
    torch.testing.assert_close(held.shares.sum(1), expected, rtol=0, atol=1e-6)


def test_a_cell_that_mixes_a_symbol_with_emptiness_holds_a_share_of_it():
    written = torch.tensor([[1.0, 0], [0, 2], [1, 0]])
    memory = torch.tensor([[[0.5, 0], [0, 2], [0, 0]]])
    held = hold(memory, written, torch.tensor([7, 3, 7]))
    assert held.symbols[0, :2].tolist() == [7, 3] and held.shares[0].tolist() == [0.5, 1, 0]
    unknown = hold(memory, None, torch.tensor([7, 3, 7]))
    assert unknown.shares[0].tolist() == [0.25, 1, 0]


def test_a_net_that_writes_a_step_late_holds_the_symbols_that_it_read():
    """Nets that keep the last symbol in their state push it when the next one comes."""
    symbols = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
    vectors = torch.tensor([[1.0, 0, 2], [0, 3, 0]])
    written = torch.cat([torch.zeros(1, 3), vectors[symbols], torch.zeros(7, 3)])
    held = hold(written.unsqueeze(1), written, symbols)
    assert held.delay == 1
    assert torch.equal(held.symbols[1:9, 0], symbols) and (held.shares[1:9, 0] == 1).all()


@pytest.mark.parametrize("cell", [name for name, kind in CELLS.items() if kind.memory])
def test_a_cell_with_a_memory_says_how_it_is_used(cell):
    """Each action has a probability for each sequence, and what is written fits into a cell of the memory."""
    torch.manual_seed(0)
    task = SimpleNamespace(net=RecurrentTransducer(3, 2, cell=cell, hidden_size=4))
    tokens = torch.tensor([[0, 1, 1, EMPTY, EMPTY, EMPTY]])
    answers, values = read_explicitly(task, (tokens, tokens), 0, input_length=3)
    kind = CELLS[cell]
    assert answers.shape == (1, 6) and values[kind.written].shape == (6, 1, values[kind.memory].shape[-1])
    torch.testing.assert_close(torch.stack([values[name] for name in kind.gates]).sum(0), torch.ones(6, 1, 1))
    more = {"input_lengths": torch.tensor([3])} if task.net.recurrent.takes_input_length else {}
    assert torch.equal(task.net(tokens, **more).argmax(-1), answers)


def test_a_memory_is_one_of_the_states():
    class Wrong(EquationsGRU):
        memory = "S"

    with pytest.raises(UserError, match=r"memory is 'S'; allowed: None or one of state, \('h',\)"):
        load_own(Wrong)


@pytest.mark.slow
def test_the_command_draws_a_string_that_is_typed(tmp_path, capsys, monkeypatch):
    words = ("task.cell=stack_rnn", "task.dropout=0", "data.sequence_length=4", "trainer.max_steps=5")
    _, objects = train(compose(*TRANSDUCER, *words, f"root={tmp_path}/runs"))
    run = objects["run"].path
    keys = ["external_memory", f"out={tmp_path}/out", f"run={run}"]
    assert main([*keys, "string=01101", "layer=2"]) == 0
    out = tmp_path.joinpath("out", "external_memory", *run.parts[-3:-1], f"{run.name},layer=2")
    assert (out / "external_memory.png").stat().st_size > 10_000
    rows = list(csv.DictReader((out / "actions.csv").open()))
    assert [row["symbol"] for row in rows] == [*"01101", *5 * "\u00b7"]
    assert [row["target"] for row in rows] == [*5 * [""], *"10110"]
    assert all(sum(float(row[name]) for name in ("push", "pop", "no_op")) == pytest.approx(1) for row in rows)
    for wrong, says in (
        (["string=013"], "string=013: allowed: tokens 0 to 2, as 010 or 0,1,0"),
        (["string=01", "length=3"], "length=3: the string is given; fix:"),
        (["length=0"], "length=0: allowed"),
        (["layer=3"], "layer=3: is above the top layer; allowed: 1 to 2"),
    ):
        assert main([*keys, *wrong]) == 2
        assert says in capsys.readouterr().err
    monkeypatch.setattr(StackRNN, "memory", None)
    assert main(keys) == 2
    assert "cell=stack_rnn has no external memory; allowed:" in capsys.readouterr().err
