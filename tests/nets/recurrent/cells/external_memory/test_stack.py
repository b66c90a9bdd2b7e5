"""Test the stack-RNN against its equations in plain lists, and on strings that need a stack."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from lightning_dl2.nets import Recurrent
from lightning_dl2.nets.recurrent.cells import StackRNN
from lightning_dl2.nets.recurrent.cells.external_memory.actions import choose

D, H, B, T, K, C = 2, 4, 2, 6, 3, 2
BIT, VALUE, TOP = range(3)  # units of the net that reverses


def net_of(stack_size=K, hidden_size=H, cell_size=C, **options):
    torch.manual_seed(0)
    options |= {"stack_size": stack_size, "cell_size": cell_size}
    cell = {"_target_": "lightning_dl2.nets.recurrent.cells.StackRNN", **options}
    return Recurrent(cell, D, hidden_size, initialization="torch").double()


def apply(matrix, vector, bias):
    return [sum(m * v for m, v in zip(row, vector, strict=True)) + b for row, b in zip(matrix, bias, strict=True)]


def test_stack_rnn_is_the_papers():
    """A stack of three cells, so that six steps fill it and lose what is below."""
    net = net_of()
    w = {name: weight.tolist() for name, weight in net.weights(0).items()}
    xs = torch.randn(T, D, dtype=torch.float64)
    outputs, _, trace = net.explicit(xs[None])
    h, stack = [0.0] * H, [[0.0] * C for _ in range(K)]
    from_state = [a + b for a, b in zip(w["weight_ih"], w["weight_hh"], strict=True)]
    for t, x in enumerate(xs.tolist()):
        h = [max(a, 0.0) for a in apply(from_state, x + stack[0] + h, w["bias_ih"])]
        sizes = [math.exp(a) for a in apply(w["weight_actions"], h, w["bias_actions"])]
        push, pop, no_op = (size / sum(sizes) for size in sizes)
        padded = [apply(w["weight_push"], h, w["bias_push"]), *stack, [0.0] * C]
        stack = [
            [push * padded[k - 1][c] + pop * padded[k + 1][c] + no_op * padded[k][c] for c in range(C)]
            for k in range(1, K + 1)
        ]
        wanted = {"push": [push], "pop": [pop], "no_op": [no_op], "v": padded[0], "S": stack, "top": stack[0], "h": h}
        assert set(wanted) == set(trace[0][0])
        for name, value in wanted.items():
            found = trace[0][0][name][t][0]
            torch.testing.assert_close(found, torch.tensor(value, dtype=torch.float64), rtol=0, atol=1e-12)
        assert outputs[0, t].tolist() == trace[0][0]["h"][t][0].tolist()


@pytest.mark.parametrize("stack_size", [1, K, 20])
@pytest.mark.parametrize("choice", ["softmax", "sparsemax"])
def test_a_sequence_gives_what_its_steps_give(stack_size, choice):
    """With and without a gradient; from an empty stack and from a filled one."""
    net, x = net_of(stack_size, choice=choice), torch.randn(B, T, D, dtype=torch.float64)
    _, state, _ = net.explicit(x)
    for start in (None, tuple(part.detach() for part in state)):
        wanted, end, _ = net.explicit(x, start)
        for graded in (True, False):
            with torch.set_grad_enabled(graded):
                found, last = net(x, start)
            torch.testing.assert_close((found, last), (wanted, end), rtol=0, atol=1e-12)
            assert found.requires_grad == graded


SCORES = [[0.0, 0.0, 0.0], [0.3, 0.1, -0.2], [2.0, 1.5, 0.0], [0.0, -1.0, 5.0], [1.0, 1.0, 0.5], [1.0, 0.0, 0.0]]
WEIGHTS = [[1 / 3] * 3, [0.5667, 0.3667, 0.0667], [0.75, 0.25, 0], [0, 0, 1], [0.5, 0.5, 0], [1, 0, 0]]


def test_sparsemax_is_the_nearest_point_of_the_simplex():
    """Worked out by hand; and nearer than any other of many weights to scores of which some get none."""
    torch.testing.assert_close(choose(torch.tensor(SCORES), "sparsemax"), torch.tensor(WEIGHTS), rtol=0, atol=1e-4)
    torch.manual_seed(0)
    scores = 2 * torch.randn(50, 5, dtype=torch.float64)
    found = choose(scores, "sparsemax")
    others = torch.distributions.Dirichlet(torch.full((5,), 0.3, dtype=torch.float64)).sample((2000,))
    torch.testing.assert_close(found.sum(1), torch.ones(50, dtype=torch.float64))
    assert (found >= 0).all() and ((found == 0).any(1)).any()
    assert ((found - scores).norm(dim=1) <= torch.cdist(scores, others).amin(1)).all()


@pytest.mark.parametrize("choice", ["softmax", "sparsemax"])
def test_the_backward_pass_is_the_derivative(choice):
    cell = StackRNN(K, C, choice)
    shapes = cell.shapes(D, H)
    sizes = [*shapes.values(), (T, B, D), (B, H), (B, K, C)]
    torch.manual_seed(0)
    leaves = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in sizes]

    def run(*leaves):
        hs, (_, stack) = cell.sequence(dict(zip(shapes, leaves, strict=False)), *leaves[-3:])
        return hs, stack

    assert gradcheck(run, leaves, fast_mode=True)


def test_a_rounded_stack_takes_the_best_action_alone_outside_of_training():
    """By either path: in evaluation each weight is 0 or 1, at the highest score; in training as without it."""
    net, plain, x = net_of(20, rounded=True), net_of(20), 10 * torch.randn(B, T, D, dtype=torch.float64)
    torch.nn.init.normal_(net.core["bias_actions_l0"])
    torch.nn.init.normal_(net.core["weight_actions_l0"], std=3)
    plain.load_state_dict(net.state_dict())
    assert torch.equal(net.train()(x)[0], plain.train()(x)[0])
    outputs, _, trace = net.eval().explicit(x)
    actions = torch.stack([torch.stack(trace[0][0][gate]) for gate in StackRNN.gates], -1).squeeze(2)
    assert (
        ((actions == 0) | (actions == 1)).all()
        and (actions.sum(-1) == 1).all()
        and len(actions.flatten(0, 1).unique(dim=0)) > 1
    )
    torch.testing.assert_close(net(x)[0], outputs, rtol=0, atol=1e-12)
    first = torch.stack([plain.eval().explicit(x)[2][0][0][gate][0] for gate in StackRNN.gates], -1).squeeze(1)
    assert torch.equal(actions[0].argmax(-1), first.argmax(-1)), "one step from zeros has the same scores"
    loss = net(x)[0].square().sum()
    assert not torch.autograd.grad(loss, net.core["weight_actions_l0"])[0].any()


def test_a_deeper_stack_has_the_same_weights_and_the_same_outputs_until_a_lost_cell_is_missed():
    deep, shallow, x = net_of(512), net_of(T), torch.randn(B, 3 * T, D, dtype=torch.float64)
    shallow.load_state_dict(deep.state_dict())
    (found, (_, S)), (wanted, _) = deep(x), shallow(x)
    assert S.shape == (1, B, 512, C) and not S[:, :, 3 * T :].any() and S[:, :, 3 * T - 1].all()
    torch.testing.assert_close(found[:, : 2 * T + 1], wanted[:, : 2 * T + 1], rtol=0, atol=0)
    assert not torch.equal(found[:, 2 * T + 1], wanted[:, 2 * T + 1]), "what was pushed in the first step comes up"


@pytest.mark.parametrize(("length", "right"), [(300, 300), (301, 300), (400, 300)])
def test_weights_by_hand_reverse_what_the_stack_holds(length, right):
    """Push while bits come, pop at the empty places; a stack of 300 cells loses what was pushed first."""
    net = net_of(300, hidden_size=3, cell_size=1)
    w = net.weights(0)
    with torch.no_grad():
        for weight in w.values():
            weight.zero_()
        w["weight_ih"][BIT, 0] = 1  # x is [whether a bit is there, 0 or 1]
        w["weight_ih"][VALUE, 1] = 1
        w["weight_ih"][TOP, 2] = 1
        w["weight_actions"][0, BIT], w["bias_actions"][1] = 100, 50  # push beside a bit, else pop
        w["weight_push"][0, VALUE] = 1
        bits = torch.randint(2, (B, length)).double()
        there = torch.stack([torch.ones_like(bits), bits], 2)
        answers = net(torch.cat([there, torch.zeros_like(there)], 1))[0][:, length:, TOP]
    assert torch.equal(answers[:, :right].round(), bits.flip(1)[:, :right])
    assert (answers[:, right:].abs() < 1e-6).all()
