"""Test the language model of embedding, recurrent layers and a linear layer, in one stack and in separate layers."""

import copy
import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lightning_dl2.nets import LanguageModel, count_parameters
from lightning_dl2.nets.recurrent.states import join_layers, split_layers

ALL = [
    pytest.param({"cell": "rnn"}, id="rnn"),
    pytest.param({"cell": "lstm"}, id="lstm"),
    pytest.param({"cell": "gru"}, id="gru"),
    pytest.param({"cell": "gru", "reset_after": False}, id="paper-gru"),
    pytest.param({"cell": "peephole", "peephole": "gers"}, id="gers"),
    pytest.param({"cell": "peephole", "peephole": "assignment"}, id="assignment"),
]
GATED = ALL[1:]
LAYOUTS = [
    pytest.param({}, id="stack"),
    pytest.param({"layer_norm": True}, id="apart-norm"),
    pytest.param({"locked_dropout": True, "dropout": 0.5}, id="apart-locked"),
    pytest.param({"skip_connections": True}, id="apart-skips"),
]
V, E, H, P, B, T = 7, 4, 6, 5, 3, 8
EXACT = {"rtol": 0, "atol": 0}
CLOSE = {"rtol": 0, "atol": 1e-6}


def build(options=None, *, seed=0, **more):
    torch.manual_seed(seed)
    sizes = {"vocabulary_size": V, "embedding_size": E, "hidden_size": H, "num_layers": 2}
    return LanguageModel(**{"cell": "lstm", **sizes, **(options or {}), **more}).double()


def random_tokens():
    return torch.randint(V, (B, T))


def random_state(net):
    parts = tuple(torch.randn(2, B, H, dtype=torch.float64) for _ in net.blocks[0].cell.state)
    return parts if len(parts) > 1 else parts[0]


def layer_weights(net):
    """Return the recurrent weights of all layers, lowest first, in either layout."""
    return [block.weights(layer) for block in net.blocks for layer in range(block.num_layers)]


def set_layer_weights(net, weights):
    for ours, theirs in zip(layer_weights(net), weights, strict=True):
        for name, parameter in ours.items():
            parameter.data.copy_(theirs[name])


def number_of_parameters(net):
    return sum(p.numel() for p in net.parameters())


def test_it_is_embedding_lstm_and_linear():
    net = build()
    embedding, lstm, linear = nn.Embedding(V, E), nn.LSTM(E, H, 2, batch_first=True), nn.Linear(H, V)
    plain = nn.ModuleList([embedding, lstm, linear]).double()
    embedding.load_state_dict(net.embedding.state_dict())
    lstm.load_state_dict(net.blocks[0].core.state_dict())
    linear.load_state_dict(net.output.state_dict())
    tokens, targets, state = random_tokens(), random_tokens(), random_state(net)

    hs, plain_state = lstm(embedding(tokens), state)
    plain_logits = linear(hs)
    logits, new_state = net(tokens, state)
    assert logits.shape == (B, T, V)
    torch.testing.assert_close((logits, new_state), (plain_logits, plain_state), **CLOSE)
    grads = []
    for result, module in ((logits, net), (plain_logits, plain)):
        loss = F.cross_entropy(result.flatten(0, 1), targets.flatten())
        grads.append(torch.autograd.grad(loss, list(module.parameters())))
    assert all(grad.any() for grad in grads[0])
    torch.testing.assert_close(*grads, **CLOSE)


def test_every_part_stands_where_it_should():
    """Separate layers with every optional part equal the parts applied one by one."""
    net = build(layer_norm=True, projection_size=P)
    norms = [nn.LayerNorm(H).double() for _ in range(2)]
    for ours, theirs in zip(net.norms, norms, strict=True):
        nn.init.normal_(ours.weight), nn.init.normal_(ours.bias)
        theirs.load_state_dict(ours.state_dict())
    tokens = random_tokens()
    x = net.embedding.weight[tokens]
    for index, norm in enumerate(norms):
        lstm = nn.LSTM(E if index == 0 else H, H, batch_first=True).double()
        lstm.load_state_dict(net.blocks[index].core.state_dict())
        x = norm(lstm(x)[0])
    x = F.linear(x, net.projection.weight, net.projection.bias)
    torch.testing.assert_close(net(tokens)[0], F.linear(x, net.output.weight, net.output.bias), **CLOSE)


@pytest.mark.parametrize("projection_size", [None, P])
def test_skip_connections_lead_from_every_layer_to_the_output(projection_size):
    net = build(skip_connections=True, layer_norm=True, projection_size=projection_size)
    tokens = random_tokens()
    x, outputs = net.embedding.weight[tokens], []
    for block, norm in zip(net.blocks, net.norms, strict=True):
        x = norm(block(x)[0])
        outputs.append(x)
    expected = net.output(net.projection(torch.cat(outputs, dim=2)))
    torch.testing.assert_close(net(tokens)[0], expected, **CLOSE)
    assert (net.output if projection_size is None else net.projection).in_features == 2 * H


@pytest.mark.parametrize("options", ALL)
def test_layers_apart_are_the_stack(options):
    stack, apart = build(options), build(options, locked_dropout=True, dropout=0.5).eval()
    assert (len(stack.blocks), len(apart.blocks)) == (1, 2)
    set_layer_weights(apart, layer_weights(stack))
    apart.embedding.load_state_dict(stack.embedding.state_dict())
    apart.output.load_state_dict(stack.output.state_dict())
    tokens, state = random_tokens(), random_state(stack)
    torch.testing.assert_close(apart(tokens, state), stack(tokens, state), **CLOSE)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", ALL)
def test_the_explicit_path_is_the_fast_one_and_shows_every_layer(options, layout):
    net, tokens = build(options, **layout).eval(), random_tokens()
    _, state = net(random_tokens())
    logits, end = net(tokens, state)
    explicit, trace = net.explicit(tokens, state)
    torch.testing.assert_close(explicit, logits, rtol=0, atol=1e-12)
    assert [len(layer) for layer in trace] == [1, 1]
    h = end if isinstance(end, torch.Tensor) else end[0]
    for layer, [steps] in enumerate(trace):
        torch.testing.assert_close(steps["h"][-1], h[layer], rtol=0, atol=1e-12)


def test_the_layout_is_one_stack_wherever_it_can_be():
    assert len(build(dropout=0.5).blocks) == 1
    assert len(build(locked_dropout=True, input_dropout=0.5, output_dropout=0.5).blocks) == 1
    assert len(build(layer_norm=True, num_layers=1).blocks) == 1
    assert len(build(layer_norm=True, num_layers=3).blocks) == 3


@pytest.mark.parametrize("options", ALL)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_carrying_the_state_over_a_cut_changes_nothing(options, layout):
    net, cut = build(options, **layout).eval(), 5
    tokens, state = random_tokens(), random_state(net)
    for start in (None, state):
        left, between = net(tokens[:, :cut], start)
        right, end = net(tokens[:, cut:], between)
        whole = net(tokens, start)
        torch.testing.assert_close((torch.cat([left, right], 1), end), whole, **CLOSE)
        sizes = [block.num_layers for block in net.blocks]
        torch.testing.assert_close(join_layers(split_layers(end, sizes)), end, **EXACT)
    assert not torch.allclose(net(tokens)[0], net(tokens, state)[0])
    parts = [state] if torch.is_tensor(state) else state
    ends = [end] if torch.is_tensor(end) else end
    assert [part.shape for part in ends] == [part.shape for part in parts]


@pytest.mark.parametrize("options", ALL)
@pytest.mark.parametrize(("layer_norm", "projection_size"), [(False, None), (True, None), (False, P), (True, P)])
def test_parameters_by_formula(options, layer_norm, projection_size):
    for layers in ({"num_layers": 1}, {"num_layers": 3, "bias": False}):
        net = build(options, **layers, layer_norm=layer_norm, projection_size=projection_size)
        expected = V * E + count_parameters(**options, **layers, input_size=E, hidden_size=H)["total"]
        expected += layers["num_layers"] * 2 * H if layer_norm else 0
        expected += H * P + P + V * P + V if projection_size else V * H + V
        assert number_of_parameters(net) == expected


@pytest.mark.parametrize("projection_size", [None, P])
def test_tied_weights_are_one_tensor_counted_once(projection_size):
    features = projection_size or H
    sizes = {"embedding_size": features, "projection_size": projection_size}
    tied, untied = build(tie_weights=True, **sizes), build(**sizes)
    assert number_of_parameters(untied) - number_of_parameters(tied) == V * features
    for net in (tied, copy.deepcopy(tied)):
        assert net.output.weight is net.embedding.weight
    assert tied.embedding.weight.abs().max() <= 0.1
    assert LanguageModel(V, cell="lstm", hidden_size=H, tie_weights=True).embedding.weight.shape == (V, H)


@pytest.mark.parametrize("projection_size", [None, P])
def test_the_gradients_of_both_uses_of_tied_weights_add_up(projection_size):
    sizes = {"embedding_size": projection_size or H, "projection_size": projection_size}
    tied, untied = build(tie_weights=True, **sizes), build(**sizes)
    untied.load_state_dict(tied.state_dict())
    tokens, targets = random_tokens(), random_tokens()
    for net in (tied, untied):
        F.cross_entropy(net(tokens)[0].flatten(0, 1), targets.flatten()).backward()
    uses = untied.embedding.weight.grad, untied.output.weight.grad
    assert all(grad.any() for grad in uses)
    torch.testing.assert_close(tied.embedding.weight.grad, sum(uses), **CLOSE)


PLACES = ("input_dropout", "dropout", "output_dropout")


def masks(net, tokens):
    """Return the factors of each place in PLACES, [B, T, features], in one call of a net with two separate layers."""
    before, after = {}, {}
    spots = zip(PLACES, (net.embedding, *net.norms), (*net.blocks, net.projection), strict=True)
    hooks = []
    for place, giver, taker in spots:
        hooks.append(giver.register_forward_hook(lambda module, args, x, place=place: before.update({place: x})))
        hooks.append(taker.register_forward_pre_hook(lambda module, args, place=place: after.update({place: args[0]})))
    net(tokens)
    for hook in hooks:
        hook.remove()
    return {place: after[place] / before[place] for place in PLACES}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("locked", [True, False])
def test_dropout_is_where_it_was_asked_for_and_locked_over_the_steps_if_so(place, locked):
    net = build(layer_norm=True, hidden_size=32, embedding_size=32, locked_dropout=locked, **{place: 0.25})
    tokens = random_tokens()
    found = masks(net, tokens)
    for other in PLACES:
        if other != place:
            assert (found[other] == 1).all(), other
    mask = found[place]
    dropped = mask == 0
    torch.testing.assert_close(mask[~dropped], torch.full_like(mask[~dropped], 1 / 0.75))
    assert 0.1 < dropped.double().mean() < 0.4
    same_in_all_steps = [torch.equal(row, row[:1].expand_as(row)) for row in dropped]
    assert same_in_all_steps == [locked] * B
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(dropped, 2)), "sequences share a mask"
    assert not torch.equal(masks(net, tokens)[place] == 0, dropped), "two windows share a mask"
    if not locked:
        assert not any(torch.equal(a, b) for a, b in itertools.pairwise(dropped[0]))


@pytest.mark.parametrize("layout", [{}, {"layer_norm": True}], ids=["stack", "norm"])
@pytest.mark.parametrize("name", [*PLACES, "weight_dropout"])
@pytest.mark.parametrize("locked_dropout", [False, True])
def test_dropout_is_in_training_only(layout, name, locked_dropout):
    plain = build(**layout)
    net = build(**layout, locked_dropout=locked_dropout, **{name: 0.5})
    net.embedding.load_state_dict(plain.embedding.state_dict())
    net.output.load_state_dict(plain.output.state_dict())
    set_layer_weights(net, layer_weights(plain))
    tokens = random_tokens()
    assert not torch.equal(net(tokens)[0], net(tokens)[0])
    runs = []
    for _ in range(2):
        torch.manual_seed(3)
        runs.append(net(tokens))
    torch.testing.assert_close(*runs, **EXACT)
    net.eval()
    torch.testing.assert_close(net(tokens), plain(tokens), **CLOSE)
    torch.testing.assert_close(net(tokens), net(tokens), **EXACT)


def test_locked_dropout_drops_nothing_between_the_layers_of_one():
    net = build(num_layers=1, locked_dropout=True, dropout=0.5)
    tokens = random_tokens()
    torch.testing.assert_close(net(tokens), net.eval()(tokens), **EXACT)


@pytest.mark.parametrize("options", ALL)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_seed_decides(options, layout):
    more = {"projection_size": P, **layout}
    first, second, third = (build(options, **more, seed=seed).state_dict() for seed in (0, 0, 1))
    torch.testing.assert_close(first, second, **EXACT)
    assert all(not torch.equal(first[name], third[name]) for name in first if "weight" in name and "norm" not in name)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_initialization_reaches_every_part(layout):
    net = build(initialization="orthogonal", projection_size=P, **layout)
    assert len(layer_weights(net)) == 2
    for w in layer_weights(net):
        assert not w["bias_ih"].any() and not w["bias_hh"].any()
        for gate in w["weight_hh"].detach().split(H):
            torch.testing.assert_close(gate @ gate.T, torch.eye(H, dtype=torch.float64), **CLOSE)
    for linear in (net.projection, net.output):
        assert not linear.bias.any()
        assert linear.weight.abs().max() <= math.sqrt(6 / sum(linear.weight.shape)) + 1e-6


@pytest.mark.parametrize("options", GATED)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_forget_bias_reaches_every_layer(options, layout):
    def forget_biases(**more):
        net = build(options, **layout, **more)
        index = net.blocks[0].cell.gates.index(net.blocks[0].cell.forget_gate)
        totals = [sum(w[name] for name in ("bias_ih", "bias_hh") if name in w) for w in layer_weights(net)]
        assert len(totals) == 2
        return [total.detach().split(H)[index] for total in totals]

    for bias in forget_biases(forget_bias=3.0):
        assert (bias == 3.0).all()
    for bias in forget_biases(forget_bias="chrono", sequence_length=1000):
        assert (bias >= 0).all() and (bias <= math.log(999)).all() and bias.max() > 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tie_weights": True}, "tie_weights: embedding_size is 4; it must be 6"),
        ({"tie_weights": True, "skip_connections": True}, "embedding_size is 4; it must be 12"),
        ({"tie_weights": True, "projection_size": P}, "tie_weights: embedding_size is 4; it must be 5"),
        ({"tie_weights": True, "embedding_size": None, "projection_size": P}, "embedding_size is 6; it must be 5"),
        ({"input_dropout": 1.0}, "input_dropout is 1.0"),
        ({"input_dropout": -0.1}, "input_dropout is -0.1"),
        ({"dropout": 1.0}, "^dropout is 1.0"),
        ({"dropout": -0.1}, "^dropout is -0.1"),
        ({"dropout": math.nan}, "^dropout is nan"),
        ({"output_dropout": 1.0}, "output_dropout is 1.0"),
        ({"output_dropout": -0.1}, "output_dropout is -0.1"),
        ({"weight_dropout": 1.0}, "weight_dropout is 1.0"),
        ({"weight_dropout": -0.1}, "weight_dropout is -0.1"),
        ({"bidirectional": True}, "bidirectional is True"),
        ({"num_layers": 0}, "num_layers is 0"),
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"cell": "lsmt"}, "cell is 'lsmt'"),
        ({"initialization": "he"}, "initialization is 'he'"),
        ({"forget_bias": "large"}, "forget_bias is 'large'"),
        ({"forget_bias": 1.0, "bias": False}, "forget_bias is 1.0 but bias is False"),
    ],
)
@pytest.mark.parametrize("layer_norm", [False, True])
def test_wrong_arguments_are_named(arguments, message, layer_norm):
    with pytest.raises(ValueError, match=message):
        build(**arguments, layer_norm=layer_norm)


def test_bidirectional_false_may_be_said():
    assert build(bidirectional=False)(random_tokens())[0].shape == (B, T, V)
