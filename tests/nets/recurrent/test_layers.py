"""Test that the fast and the explicit path are one function, and equal torch.nn where it has the cell."""

import pytest
import torch
from torch import nn

from lightning_dl2.nets import Recurrent
from lightning_dl2.nets.recurrent import cells

ALL = [
    pytest.param({"cell": "rnn"}, id="rnn"),
    pytest.param({"cell": "lstm"}, id="lstm"),
    pytest.param({"cell": "gru"}, id="gru"),
    pytest.param({"cell": "gru", "reset_after": False}, id="paper-gru"),
    pytest.param({"cell": "peephole", "peephole": "gers"}, id="gers"),
    pytest.param({"cell": "peephole", "peephole": "assignment"}, id="assignment"),
]
TORCH = [("rnn", nn.RNN), ("lstm", nn.LSTM), ("gru", nn.GRU)]
B, T, D, H = 3, 6, 4, 5


def build(options, **more):
    torch.manual_seed(0)
    return Recurrent(input_size=D, hidden_size=H, **options, **more)


def random_state(net, batch_size=B, **kind):
    shape = net.num_layers * net.num_directions, batch_size, net.hidden_size
    state = tuple(torch.randn(shape, **kind) for _ in net.cell.state)
    return state if len(state) > 1 else state[0]


def tensors(state):
    return [state] if isinstance(state, torch.Tensor) else list(state)


@pytest.mark.parametrize("options", ALL)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_explicit_equals_forward(options, bias, num_layers, bidirectional):
    net = build(options, num_layers=num_layers, bidirectional=bidirectional, bias=bias).double()
    kind = {"dtype": torch.float64, "requires_grad": True}
    x, state = torch.randn(B, T, D, **kind), random_state(net, **kind)
    leaves = [x, *tensors(state), *net.parameters()]

    results = []
    for path in (net.forward, net.explicit):
        outputs, final, *_ = path(x, state)
        pieces = [outputs, *tensors(final)]
        torch.manual_seed(1)
        loss = sum((piece * torch.randn_like(piece)).sum() for piece in pieces)
        grads = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
        results.append([*pieces, *grads])
    torch.testing.assert_close(*results, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("cell", "module"), TORCH)
def test_state_dicts_are_interchangeable_with_torch(cell, module):
    ours = build({"cell": cell}, num_layers=2, bidirectional=True)
    theirs = module(D, H, 2, bidirectional=True, batch_first=True)
    theirs.load_state_dict(ours.core.state_dict())
    x = torch.randn(B, T, D)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=0)
    torch.testing.assert_close(ours.explicit(x)[0], theirs(x)[0])


@pytest.mark.parametrize(("cell", "module"), TORCH)
def test_one_seed_gives_the_weights_of_torch(cell, module):
    ours = build({"cell": cell})
    torch.manual_seed(0)
    torch.testing.assert_close(ours.core.state_dict(), module(D, H).state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("options", ALL)
def test_the_trace_is_in_the_graph_and_in_the_order_of_the_sequence(options):
    net = build(options, num_layers=2, bidirectional=True)
    # with a zero state, f and r would have no effect in the first step
    outputs, _, trace = net.explicit(torch.randn(B, T, D), random_state(net))
    h_forward, h_backward = (torch.stack(trace[1][direction]["h"], 1) for direction in (0, 1))
    torch.testing.assert_close(torch.cat([h_forward, h_backward], 2), outputs, rtol=0, atol=0)
    for layer in trace:
        for direction in layer:
            for name, quantities in direction.items():
                grads = torch.autograd.grad(outputs.sum(), quantities, retain_graph=True)
                assert len(grads) == T and all(grad.any() for grad in grads), name


def test_the_traced_gradient_is_that_of_a_nudge_to_h():
    net = build({"cell": "lstm"}).double()
    x, t = torch.randn(1, T, D, dtype=torch.float64), 2
    outputs, _, trace = net.explicit(x)
    (grad,) = torch.autograd.grad(outputs[:, -1].sum(), trace[0][0]["h"][t : t + 1])
    h, c = trace[0][0]["h"][t].detach(), trace[0][0]["c"][t].detach()

    def loss(h):
        return net(x[:, t + 1 :], (h[None], c[None]))[0][:, -1].sum().item()

    nudges = 1e-6 * torch.eye(H, dtype=torch.float64)
    numeric = [(loss(h + nudge) - loss(h - nudge)) / 2e-6 for nudge in nudges]
    assert grad[0].tolist() == pytest.approx(numeric, abs=1e-8)


@pytest.mark.parametrize("options", ALL)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_last_is_the_final_h_of_each_direction(options, bidirectional):
    net = build(options, num_layers=2, bidirectional=bidirectional)
    outputs, final = net(torch.randn(B, T, D))
    ends = [outputs[:, -1, :H], outputs[:, 0, H:]] if bidirectional else [outputs[:, -1]]
    torch.testing.assert_close(net.last(final), torch.cat(ends, 1), rtol=0, atol=0)


@pytest.mark.parametrize("options", ALL)
def test_carrying_the_state_over_a_cut_changes_nothing(options):
    net = build(options, num_layers=2)
    x = torch.randn(1, 7, D)
    outputs, final = net(x)
    left, state = net(x[:, :1])
    right, state = net(x[:, 1:], state)
    torch.testing.assert_close((torch.cat([left, right], 1), state), (outputs, final))


@pytest.mark.parametrize("options", ALL)
def test_non_contiguous_input(options):
    net = build(options)
    x = torch.randn(T, D, 2 * B).permute(2, 0, 1)[::2]
    torch.testing.assert_close(net(x), net(x.contiguous()))


@pytest.mark.slow
@pytest.mark.parametrize("options", ALL)
def test_the_first_input_reaches_the_state_a_thousand_steps_later(options):
    """In cells that keep their state, the first input's gradient is unchanged after a thousand steps."""
    net = build(options, forget_bias=None if options["cell"] == "rnn" else 20.0).double()
    with torch.no_grad():
        for name, parameter in net.core.named_parameters():
            if name.startswith(("weight_hh", "weight_ch", "peephole")):
                parameter.copy_(torch.eye(H)) if options["cell"] == "rnn" else parameter.zero_()
            elif options["cell"] == "rnn":
                parameter.mul_(0.0 if name.startswith("bias") else 1e-3)  # tanh is linear there
    x = torch.zeros(1, 1000, D, dtype=torch.float64)
    x[0, 0] = torch.randn(D)
    for path in (net.forward, net.explicit):
        gradients = []
        for steps in (1, 1000):
            part = x[:, :steps].clone().requires_grad_()
            gradients.append(torch.autograd.grad(tensors(path(part)[1])[-1].sum(), part)[0][0, 0])
        assert gradients[0].all()
        torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-2, atol=0)


@pytest.mark.parametrize("options", ALL)
def test_dropout_is_between_layers_and_in_training_only(options):
    one_layer, two_layers = build(options, dropout=0.5), build(options, dropout=0.5, num_layers=2)
    x = torch.randn(B, T, D)
    for path in ("forward", "explicit"):
        run = getattr(one_layer, path)
        torch.testing.assert_close(run(x)[0], run(x)[0], rtol=0, atol=0)
        run = getattr(two_layers.train(), path)
        assert not torch.equal(run(x)[0], run(x)[0])
        run = getattr(two_layers.eval(), path)
        torch.testing.assert_close(run(x)[0], run(x)[0], rtol=0, atol=0)


@pytest.mark.parametrize("options", ALL)
def test_autocast_to_bfloat16(options):
    net = build(options, num_layers=2)
    x = torch.randn(B, T, D)
    for path in (net.forward, net.explicit):
        precise = path(x)[0]
        with torch.autocast("cpu", torch.bfloat16):
            outputs, state, *_ = path(x)
            path(x.bfloat16(), state)
        torch.testing.assert_close(outputs.float(), precise, rtol=0, atol=0.02)
        outputs.float().square().mean().backward()
        assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in net.parameters())


GOLDEN = {
    # loss, gradient norm and number of parameters after one step of gradient descent
    "rnn": (0.46830237, 0.46285537, 280),
    "lstm": (0.25241296, 0.26530836, 1120),
    "gru": (0.30547277, 0.25588265, 840),
    "paper-gru": (0.25131068, 0.21781603, 780),
    "gers": (0.25625824, 0.22263377, 1100),
    "assignment": (0.07416644, 0.03671419, 940),
}


@pytest.mark.parametrize("options", ALL)
def test_golden_step(options, request):
    net = build(options, num_layers=2, bidirectional=True, initialization="xavier", forget_bias=1.0).double()
    x = torch.randn(B, T, D, dtype=torch.float64)

    def loss_and_norm():
        net.zero_grad()
        loss = (net(x)[0] - 0.5).square().mean()
        loss.backward()
        return loss.item(), nn.utils.get_total_norm([p.grad for p in net.parameters()]).item()

    loss_and_norm()
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    golden = *loss_and_norm(), sum(p.numel() for p in net.parameters())
    name = request.node.callspec.id
    assert golden == pytest.approx(GOLDEN[name], rel=1e-6), (
        f"The step of {name} has changed. If that was meant, say why in the commit and set\n"
        f"GOLDEN[{name!r}] = ({golden[0]:.8f}, {golden[1]:.8f}, {golden[2]})"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell": "lsmt"}, "cell is 'lsmt'; it must be one of rnn, lstm, gru, peephole"),
        ({"cell": "peephole", "peephole": "full"}, "peephole is 'full'; it must be one of gers, assignment"),
        ({"cell": "lstm", "num_layers": 0}, "num_layers is 0"),
        ({"cell": "lstm", "dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(arguments)


@pytest.mark.parametrize("options", ALL)
@pytest.mark.parametrize("path", ["forward", "explicit"])
def test_wrong_shapes_are_named(options, path):
    run = getattr(build(options), path)
    for shape in ((B, T), (B, T, D + 1), (B, 0, D), (T, B, T, D)):
        with pytest.raises(ValueError, match=r"x is \[.*it must be \[B, T >= 1, input_size=4\]"):
            run(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"state is .* it must be h.* each \[1, 3, 5\]"):
        run(torch.zeros(B, T, D), torch.zeros(1, B, H + 1))


class MinimalGatedUnit(cells.Cell):
    """A cell that neither torch.nn nor `kernels` has (Zhou et al. 2016), as a user would add it."""

    gates, state, forget_gate = ("f", "n"), ("h",), None

    @staticmethod
    def shapes(D, H):
        return {"weight_ih": (2 * H, D), "weight_hh": (2 * H, H), "bias_ih": (2 * H,)}

    @staticmethod
    def step(w, x, h):
        x_f, x_n = nn.functional.linear(x, w["weight_ih"], w.get("bias_ih")).chunk(2, dim=1)
        U_f, U_n = w["weight_hh"].chunk(2)
        f = torch.sigmoid(x_f + nn.functional.linear(h, U_f))
        n = torch.tanh(x_n + nn.functional.linear(f * h, U_n))
        return {"f": f, "n": n, "h": (1 - f) * h + f * n}


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_cell_without_a_kernel_learns_through_autograd(bidirectional, monkeypatch):
    monkeypatch.setitem(cells.CELLS, "mgu", MinimalGatedUnit)
    net = build({"cell": "mgu"}, num_layers=2, bidirectional=bidirectional, initialization="orthogonal").double()
    x = torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)
    (outputs, state), (seen, same, trace) = net(x), net.explicit(x)
    torch.testing.assert_close((outputs, state), (seen, same), rtol=0, atol=0)
    grads, others = (torch.autograd.grad(each.square().sum(), [x, *net.parameters()]) for each in (outputs, seen))
    torch.testing.assert_close(grads, others, rtol=0, atol=0)
    assert all(grad.abs().sum() > 0 for grad in grads) and set(trace[1][0]) == {"f", "n", "h"}
    with torch.no_grad():  # to the middle, and on from its state
        middle, between = net(x[:, :3])
        if not bidirectional:
            torch.testing.assert_close(torch.cat([middle, net(x[:, 3:], between)[0]], 1), outputs, rtol=0, atol=1e-12)
