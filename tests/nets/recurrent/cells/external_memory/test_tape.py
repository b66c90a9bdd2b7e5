"""Test the tape-RNN against its equations in plain lists, and on strings that need jumps."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from lightning_dl2.nets import Recurrent
from lightning_dl2.nets.recurrent.cells import TapeRNN

D, H, B, T, K, C = 2, 4, 3, 6, 7, 2
PATH = "lightning_dl2.nets.recurrent.cells.TapeRNN"
LENGTHS = torch.tensor([1, 2, 9])  # jumps within a ring, around one, and further than around it
ACTIONS = ("stay", "left", "right", "jump_left", "jump_right")


def net_of(hidden_size=H, **cell):
    torch.manual_seed(0)
    return Recurrent({"_target_": PATH, **cell}, D, hidden_size, initialization="torch").double()


def apply(matrix, vector, bias):
    return [sum(m * v for m, v in zip(row, vector, strict=True)) + b for row, b in zip(matrix, bias, strict=True)]


@pytest.mark.parametrize(("fits_input", "jump_offset"), [(False, 0), (True, 0), (True, -1)])
def test_tape_rnn_is_the_papers(fits_input, jump_offset):
    """The paper's ring has a fixed size and its jumps no offset; the tape is turned with list slices, as a ring."""
    net = net_of(tape_size=K, cell_size=C, fits_input=fits_input, jump_offset=jump_offset)
    w = {name: weight.tolist() for name, weight in net.weights(0).items()}
    xs = torch.randn(B, T, D, dtype=torch.float64)
    outputs, _, trace = net.explicit(xs, input_lengths=LENGTHS)
    from_state = [a + b for a, b in zip(w["weight_ih"], w["weight_hh"], strict=True)]
    for row, length in enumerate(LENGTHS.tolist()):
        size, jump = min(K, 2 * length + 2) if fits_input else K, length + jump_offset
        h, tape = [0.0] * H, [[0.0] * C for _ in range(size)]
        for t, x in enumerate(xs[row].tolist()):
            h = [max(a, 0.0) for a in apply(from_state, x + tape[0] + h, w["bias_ih"])]
            sizes = [math.exp(a) for a in apply(w["weight_actions"], h, w["bias_actions"])]
            actions = [a / sum(sizes) for a in sizes]
            tape[0] = v = apply(w["weight_write"], h, w["bias_write"])
            turns = [number % size for number in (0, 1, -1, jump, -jump)]
            outcomes = [tape[turn:] + tape[:turn] for turn in turns]
            tape = [
                [sum(a * outcome[k][c] for a, outcome in zip(actions, outcomes, strict=True)) for c in range(C)]
                for k in range(size)
            ]
            wanted = {name: [a] for name, a in zip(ACTIONS, actions, strict=True)}
            wanted |= {"v": v, "M": tape + [[0.0] * C] * (K - size), "read": tape[0], "h": h}
            assert set(wanted) == set(trace[0][0])
            for name, value in wanted.items():
                found = trace[0][0][name][t][row]
                torch.testing.assert_close(found, torch.tensor(value, dtype=torch.float64), rtol=0, atol=1e-12)
            assert outputs[row, t].tolist() == trace[0][0]["h"][t][row].tolist()


@pytest.mark.parametrize(
    "cell", [{"tape_size": 1}, {"tape_size": K, "fits_input": False}, {"tape_size": 20, "choice": "sparsemax"}]
)
def test_a_sequence_gives_what_its_steps_give(cell):
    """With and without a gradient; from an empty tape and from a filled one."""
    net, x = net_of(**cell), torch.randn(B, T, D, dtype=torch.float64)
    _, state, _ = net.explicit(x, input_lengths=LENGTHS)
    for start in (None, tuple(part.detach() for part in state)):
        wanted, end, _ = net.explicit(x, start, input_lengths=LENGTHS)
        for graded in (True, False):
            with torch.set_grad_enabled(graded):
                found, last = net(x, start, input_lengths=LENGTHS)
            torch.testing.assert_close((found, last), (wanted, end), rtol=0, atol=1e-12)
            assert found.requires_grad == graded


@pytest.mark.parametrize("cell", [TapeRNN(K, C, fits_input=False), TapeRNN(K, C, jump_offset=-1, choice="sparsemax")])
def test_the_backward_pass_is_the_derivative(cell):
    shapes = cell.shapes(D, H)
    sizes = [*shapes.values(), (T, B, D), (B, H), (B, K, C)]
    torch.manual_seed(0)
    leaves = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in sizes]

    def run(*leaves):
        hs, (_, tape) = cell.sequence(dict(zip(shapes, leaves, strict=False)), *leaves[-3:], LENGTHS)
        return hs, tape

    assert gradcheck(run, leaves, fast_mode=True)


def test_without_input_lengths_the_whole_sequence_is_the_input():
    net, x = net_of(tape_size=K), torch.randn(B, T, D, dtype=torch.float64)
    lengths = torch.tensor([T, 2, 4])
    assert torch.equal(net(x)[0], net(x, input_lengths=torch.full((B,), T))[0])
    assert torch.equal(net(x, lengths=lengths)[0], net(x, lengths=lengths, input_lengths=lengths)[0])
    assert not torch.equal(net(x)[0], net(x, input_lengths=LENGTHS)[0])
    with pytest.raises(ValueError, match=r"^input_lengths is None; beside a state it must be \[B\]"):
        net(x, net(x)[1])
    with pytest.raises(ValueError, match=r"^input_lengths is \[2\]; it must be \[B=3\]$"):
        net(x, input_lengths=LENGTHS[:2])


def test_a_state_that_grows_behind_the_end_leaves_the_gradient_finite():
    net, x = net_of(tape_size=K).float(), torch.ones(1, 200, D)
    with torch.no_grad():
        net.weights(0)["weight_hh"].copy_(4 * torch.eye(H))
    outputs, _ = net(x, lengths=torch.tensor([1]), input_lengths=torch.tensor([1]))
    outputs[:, 0].sum().backward()
    assert outputs.isfinite().all() and outputs.max() == 1000
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


VALUE, PRESENT, LATCHED, NEW, SEEN, FIRST = range(6)  # units of the net that duplicates


@pytest.mark.parametrize(("jump_offset", "right"), [(-1, True), (0, False)])
def test_weights_by_hand_write_a_string_twice(jump_offset, right):
    """Write bits and move on; at the empty cell behind them answer the first bit, kept in h, and jump to the second.

    A jump as long as the input arrives at the first bit again, a step too late for it.
    """
    net = net_of(hidden_size=6, cell_size=2, jump_offset=jump_offset)
    w = net.weights(0)
    with torch.no_grad():
        for weight in w.values():
            weight.zero_()
        there, bit, value, present = range(4)  # x, then the cell under the head
        w["weight_ih"][VALUE, [bit, value]] = w["weight_ih"][PRESENT, [there, present]] = 1
        w["weight_hh"][LATCHED, FIRST], w["weight_ih"][LATCHED, [there, present]] = 1, -1
        w["bias_ih"][SEEN], w["weight_ih"][NEW, bit], w["weight_hh"][NEW, SEEN] = 1, 1, -1
        w["weight_hh"][FIRST, [NEW, FIRST]] = 1
        w["weight_write"][[0, 1], [VALUE, PRESENT]] = 1
        w["weight_actions"][ACTIONS.index("left"), PRESENT] = 100
        w["bias_actions"][ACTIONS.index("jump_right")] = 50
        lengths = torch.tensor([2, 9, 60])
        x = torch.zeros(3, 180, 2, dtype=torch.float64)
        x[:, :, 0] = torch.arange(180) < lengths[:, None]
        x[:, :, 1] = x[:, :, 0] * torch.randint(2, (3, 180))
        h, _ = net(x, lengths=3 * lengths, input_lengths=lengths)
    answers = (h[:, :, VALUE] + h[:, :, LATCHED]).round()
    for row, n in enumerate(lengths.tolist()):
        assert torch.equal(answers[row, n : 3 * n], x[row, :n, 1].repeat(2)) == right
