"""Test that reading token by token equals reading the whole sequence, for all options of the model."""

import pytest
import torch

from lightning_dl2.nets import LanguageModel

CELLS = [
    pytest.param({"cell": "rnn"}, id="rnn"),
    pytest.param({"cell": "lstm"}, id="lstm"),
    pytest.param({"cell": "gru"}, id="gru"),
    pytest.param({"cell": "gru", "reset_after": False}, id="paper-gru"),
    pytest.param({"cell": "peephole", "peephole": "gers"}, id="gers"),
    pytest.param({"cell": "peephole", "peephole": "assignment"}, id="assignment"),
]
V, E, H, P, B, T = 7, 4, 6, 5, 3, 6
EVERYTHING = {"num_layers": 2, "layer_norm": True, "projection_size": P, "embedding_size": P, "tie_weights": True}
MODELS = [
    pytest.param({}, id="1-layer"),
    pytest.param({"num_layers": 2}, id="2-layers"),
    pytest.param({"num_layers": 2, "locked_dropout": True, "dropout": 0.5}, id="2-apart"),
    pytest.param({"layer_norm": True}, id="norm"),
    pytest.param({"num_layers": 2, "layer_norm": True}, id="2-layers-norm"),
    pytest.param({"num_layers": 2, "skip_connections": True}, id="skips"),
    pytest.param({"projection_size": P}, id="projection"),
    pytest.param({"tie_weights": True, "embedding_size": H}, id="tied"),
    pytest.param({"num_layers": 2, "bias": False}, id="no-bias"),
    pytest.param(EVERYTHING, id="everything"),
    pytest.param({**EVERYTHING, "bias": False}, id="everything-no-bias"),
    pytest.param({**EVERYTHING, "skip_connections": True}, id="everything-skips"),
]
SOME = [model for model in MODELS if model.id in ("1-layer", "2-layers", "2-apart", "everything")]
EXACT = {"rtol": 0, "atol": 0}
CLOSE = {"rtol": 0, "atol": 1e-10}


def build(cell, model):
    """Return a model in evaluation mode with random parameters, including those that start at 0 or 1."""
    torch.manual_seed(0)
    net = LanguageModel(V, **{"embedding_size": E, "hidden_size": H, **cell, **model}).double().eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return net


def random_tokens(batch_size=B):
    return torch.randint(V, (batch_size, T))


def random_state(net, batch_size=B):
    num_layers = sum(block.num_layers for block in net.blocks)
    parts = tuple(torch.randn(num_layers, batch_size, H, dtype=torch.float64) for _ in net.blocks[0].cell.state)
    return parts if len(parts) > 1 else parts[0]


def tensors(state):
    return [state] if isinstance(state, torch.Tensor) else list(state)


def walk(step, tokens, state=None):
    """Read every token by `step`; return logits [B, T, V] and the last state, like forward."""
    if isinstance(step, LanguageModel):
        return step(tokens, state)
    logits = []
    for token in tokens.unbind(1):
        out, state = step(token, state)
        logits.append(out)
    return torch.stack(logits, 1), state


every_model = pytest.mark.parametrize("model", MODELS)
some_models = pytest.mark.parametrize("model", SOME)
every_cell = pytest.mark.parametrize("cell", CELLS)


@every_cell
@every_model
def test_stepping_equals_the_whole_sequence(cell, model):
    net = build(cell, model)
    tokens, step = random_tokens(), net.stepper()
    for start in (None, random_state(net)):
        torch.testing.assert_close(walk(step, tokens, start), net(tokens, start), **CLOSE)


@every_cell
@some_models
def test_states_go_from_forward_to_step_and_back(cell, model):
    net = build(cell, model)
    tokens, step, cut = random_tokens(), net.stepper(), T // 2
    whole = net(tokens)
    for first, second in ((net, step), (step, net)):
        left, state = walk(first, tokens[:, :cut])
        right, end = walk(second, tokens[:, cut:], state)
        torch.testing.assert_close((torch.cat([left, right], 1), end), whole, **CLOSE)
    right.sum().backward()  # the stepper's state has gradients


@every_cell
@some_models
def test_nothing_returned_or_given_is_overwritten(cell, model):
    net = build(cell, model)
    step, state = net.stepper(), random_state(net)
    pieces, copies = [], []
    for token in random_tokens().unbind(1):
        given = [token, *tensors(state)]
        snapshot = [piece.clone() for piece in given]
        logits, state = step(token, state)
        torch.testing.assert_close(given, snapshot, **EXACT)
        pieces += [logits, *tensors(state)]
        copies += [piece.clone() for piece in (logits, *tensors(state))]
    step(random_tokens()[:, 0], None)
    torch.testing.assert_close(pieces, copies, **EXACT)


@every_cell
def test_one_state_can_be_continued_twice_and_batches_can_take_turns(cell):
    net = build(cell, EVERYTHING)
    step, prefix, branches = net.stepper(), random_tokens(), [random_tokens(), random_tokens()]
    _, state = walk(step, prefix)
    streams = [*branches, random_tokens(1)]
    states, logits = [state, state, None], [[], [], []]
    for t in range(T):
        for number, tokens in enumerate(streams):
            out, states[number] = step(tokens[:, t], states[number])
            logits[number].append(out)
    results = [(torch.stack(out, 1), end) for out, end in zip(logits, states, strict=True)]
    for tokens, result in zip(branches, results, strict=False):
        whole, end = net(torch.cat([prefix, tokens], 1))
        torch.testing.assert_close(result, (whole[:, T:], end), **CLOSE)
    torch.testing.assert_close(results[2], net(streams[2]), **CLOSE)


@pytest.mark.slow
@every_cell
@every_model
def test_the_weights_are_a_copy_as_of_the_call(cell, model):
    net = build(cell, model)
    tokens, step = random_tokens(), net.stepper()
    before = walk(step, tokens)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter))
    torch.testing.assert_close(walk(step, tokens), before, **EXACT)
    after = walk(net.stepper(), tokens)
    torch.testing.assert_close(after, net(tokens), **CLOSE)
    assert not torch.allclose(after[0], before[0])


@every_cell
@some_models
def test_stepping_leaves_the_model_alone(cell, model):
    net = build(cell, model).train()
    weights = {name: value.clone() for name, value in net.state_dict().items()}
    walk(net.stepper(), random_tokens())
    torch.testing.assert_close(dict(net.state_dict()), weights, **EXACT)
    assert net.training and all(p.requires_grad and p.grad is None for p in net.parameters())


@every_cell
def test_no_dropout_and_no_gradient(cell):
    dropout = {"input_dropout": 0.5, "dropout": 0.5, "output_dropout": 0.5, "weight_dropout": 0.5}
    net = build(cell, {"num_layers": 2, **dropout}).train()
    tokens = random_tokens()
    result = walk(net.stepper(), tokens)
    torch.testing.assert_close(result, net.eval()(tokens), **CLOSE)
    assert not any(piece.requires_grad for piece in (result[0], *tensors(result[1])))


@every_cell
def test_from_no_state_is_from_zeros(cell):
    net = build(cell, EVERYTHING)
    step, token = net.stepper(), random_tokens()[:, 0]
    zeros = tuple(torch.zeros_like(part) for part in tensors(random_state(net)))
    torch.testing.assert_close(step(token, None), step(token, zeros if len(zeros) > 1 else zeros[0]), **EXACT)


@every_cell
@some_models
def test_the_precision_and_the_shapes_are_those_of_the_model(cell, model):
    net = build(cell, model).float()
    tokens = random_tokens(1)
    result = walk(net.stepper(), tokens)
    assert result[0].dtype == torch.float32
    torch.testing.assert_close(result, net(tokens), rtol=0, atol=1e-5)
