"""Test that weight dropout draws one mask per call, in training, on the matrices from the state."""

import pytest
import torch
from torch.nn import functional as F

from lightning_dl2.nets import Recurrent

ALL = [
    pytest.param({"cell": "rnn"}, id="rnn"),
    pytest.param({"cell": "lstm"}, id="lstm"),
    pytest.param({"cell": "gru"}, id="gru"),
    pytest.param({"cell": "gru", "reset_after": False}, id="paper-gru"),
    pytest.param({"cell": "peephole", "peephole": "gers"}, id="gers"),
    pytest.param({"cell": "peephole", "peephole": "assignment"}, id="assignment"),
]
SHAPES = [
    pytest.param({"num_layers": 2}, id="2-layers"),
    pytest.param({"num_layers": 2, "bidirectional": True, "bias": False}, id="2-layers-2-directions-no-bias"),
]
B, T, D, H = 3, 6, 4, 5
KEEP = 0.6
EXACT = {"rtol": 0, "atol": 0}
CLOSE = {"rtol": 0, "atol": 1e-10}

every_cell = pytest.mark.parametrize("options", ALL)
every_shape = pytest.mark.parametrize("shape", SHAPES)
every_path = pytest.mark.parametrize("path", ["forward", "explicit"])


def build(options, weight_dropout=1 - KEEP, **more):
    torch.manual_seed(0)
    return Recurrent(input_size=D, hidden_size=H, weight_dropout=weight_dropout, **options, **more).double()


def random_input():
    return torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)


def random_state(net):
    shape = net.num_layers * net.num_directions, B, H
    parts = tuple(torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in net.cell.state)
    return parts if len(parts) > 1 else parts[0]


def tensors(state):
    return [state] if isinstance(state, torch.Tensor) else list(state)


def call(net, path, seed, *args):
    """Return (outputs, state) of one call with the masks of `seed`."""
    torch.manual_seed(seed)
    return getattr(net, path)(*args)[:2]


def draw_masks(net, seed):
    """Return a call's masks, one for each matrix from the state in the order of the parameters, 0 or 1 / KEEP."""
    torch.manual_seed(seed)
    names = [name for name in dict(net.core.named_parameters()) if name.startswith(("weight_hh", "weight_ch"))]
    assert len(names) == net.num_layers * net.num_directions
    return {name: F.dropout(torch.ones_like(net.core.get_parameter(name)), 1 - KEEP) for name in names}


def plain_with(net, masks, options, shape):
    """Return a net without weight dropout that has the weights of `net` times `masks`."""
    plain = build(options, weight_dropout=0.0, **shape)
    plain.load_state_dict(net.state_dict())
    for name, mask in masks.items():
        plain.core.get_parameter(name).data.mul_(mask)
    return plain


@every_cell
@every_shape
@every_path
def test_in_evaluation_there_is_none(options, shape, path):
    net, plain = build(options, **shape).eval(), build(options, weight_dropout=0.0, **shape)
    torch.testing.assert_close(net.state_dict(), plain.state_dict(), **EXACT)
    x, state = random_input(), random_state(net)
    for args in ((x,), (x, state)):
        torch.testing.assert_close(call(net, path, 1, *args), call(plain, path, 2, *args), **EXACT)


@every_cell
@every_shape
@every_path
def test_in_training_it_is_a_plain_net_with_masked_weights(options, shape, path):
    """Output and gradients equal a plain net's with one mask for all steps, on no other matrix."""
    net = build(options, **shape)
    x, state = random_input(), random_state(net)
    masks = draw_masks(net, seed=1)
    plain = plain_with(net, masks, options, shape)
    leaves = [x, *tensors(state)]
    weight = torch.randn(1)  # any loss that differs between steps
    grads, results = [], []
    for module in (net, plain):
        outputs, final = call(module, path, 1, x, state)
        results.append((outputs, final))
        loss = outputs.square().sum() + sum((part * weight).sum() for part in tensors(final))
        parameters = dict(module.core.named_parameters())
        found = torch.autograd.grad(loss, [*leaves, *parameters.values()], allow_unused=True, materialize_grads=True)
        grads.append((found[: len(leaves)], dict(zip(parameters, found[len(leaves) :], strict=True))))
    torch.testing.assert_close(*results, **CLOSE)
    (inputs, ours), (plain_inputs, theirs) = grads
    torch.testing.assert_close(inputs, plain_inputs, **CLOSE)
    torch.testing.assert_close(ours, {n: g * masks[n] if n in masks else g for n, g in theirs.items()}, **CLOSE)
    for name, mask in masks.items():
        assert (mask == 0).any() and (ours[name][mask == 0] == 0).all(), name
    assert all(grad.any() for grad in ours.values())


@every_cell
@every_path
def test_the_seed_decides_and_every_call_has_its_own_mask(options, path):
    net, x = build(options, num_layers=2), random_input()
    torch.testing.assert_close(call(net, path, 1, x), call(net, path, 1, x), **EXACT)
    torch.manual_seed(1)
    first, second = (getattr(net, path)(x)[0] for _ in range(2))
    assert not torch.allclose(first, second)
    torch.testing.assert_close(call(net, "forward", 1, x), call(net, "explicit", 1, x), **CLOSE)


@every_cell
@every_path
def test_the_parameters_stay_as_they_are_and_get_the_gradient(options, path):
    net = build(options)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    call(net, path, 1, random_input())[0].square().sum().backward()
    torch.testing.assert_close(dict(net.state_dict()), before, **EXACT)
    assert all(parameter.grad.any() for parameter in net.parameters())


@every_cell
def test_no_state_is_zeros(options):
    net, x = build(options, num_layers=2), random_input()
    zeros = tuple(torch.zeros_like(part) for part in tensors(random_state(net)))
    zeros = zeros if len(zeros) > 1 else zeros[0]
    torch.testing.assert_close(call(net, "forward", 1, x), call(net, "forward", 1, x, zeros), **EXACT)


@every_cell
def test_a_single_step_from_zeros_does_not_see_it(options):
    """A single step from a zero state is unaffected, because the masked matrices multiply zeros."""
    net, x = build(options), random_input()[:, :1]
    torch.testing.assert_close(call(net, "forward", 1, x), call(net.eval(), "forward", 1, x), **CLOSE)


@every_cell
def test_beside_dropout_between_layers(options):
    """A tiny weight dropout leaves dropout between layers unchanged."""
    net = build(options, weight_dropout=1e-12, num_layers=2, dropout=0.5)
    x = random_input()
    (first, first_end), (second, second_end) = (call(net, "forward", seed, x) for seed in (1, 2))
    assert not torch.allclose(first, second)
    for one, other in zip(tensors(first_end), tensors(second_end), strict=True):
        torch.testing.assert_close(one[0], other[0], **CLOSE)
        assert not torch.allclose(one[1], other[1])
    torch.testing.assert_close(*(call(net.eval(), "forward", seed, x) for seed in (1, 2)), **EXACT)


@every_cell
@every_path
def test_wrong_shapes_are_named_in_training_too(options, path):
    run = getattr(build(options), path)
    with pytest.raises(ValueError, match=r"x is \[.*it must be \[B, T >= 1, input_size=4\]"):
        run(torch.zeros(B, T, D + 1, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"state is .* it must be h.* each \[1, 3, 5\]"):
        run(torch.zeros(B, T, D, dtype=torch.float64), torch.zeros(1, B, H + 1, dtype=torch.float64))


@pytest.mark.parametrize("probability", [1.0, -0.1, float("nan")])
def test_a_wrong_probability_is_named(probability):
    with pytest.raises(ValueError, match=f"weight_dropout is {probability}"):
        build({"cell": "lstm"}, weight_dropout=probability)
