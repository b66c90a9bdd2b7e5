"""Test that nets side by side give the mean of the single nets."""

import pytest
import torch

from lightning_dl2.nets import Ensemble, LanguageModel
from lightning_dl2.nets.recurrent.gradient_flow import gradient_flow
from lightning_dl2.tasks.muon import hidden_matrices
from lightning_dl2.tasks.optimizers import complete, parameter_groups

V, H, B, T = 7, 5, 3, 6
CLOSE = {"rtol": 0, "atol": 1e-10}
MEMBERS = [
    pytest.param({"cell": "lstm", "num_layers": 2}, id="lstm"),
    pytest.param({"cell": "gru", "num_layers": 2}, id="gru"),
    pytest.param({"cell": "peephole", "num_layers": 3, "layer_norm": True, "skip_connections": True}, id="apart"),
]
every_member = pytest.mark.parametrize("member", MEMBERS)


def build(member, size=3) -> Ensemble:
    torch.manual_seed(0)
    return Ensemble([LanguageModel(V, hidden_size=H, **member) for _ in range(size)]).double().eval()


def random_tokens(steps=T):
    return torch.randint(V, (B, steps))


def joined(states):
    """Run the members' layers one after the other."""
    if torch.is_tensor(states[0]):
        return torch.cat(states)
    return tuple(torch.cat(parts) for parts in zip(*states, strict=True))


@every_member
def test_the_mean_of_the_members(member):
    net, tokens = build(member), random_tokens()
    logits, state = net(tokens)
    alone = [part(tokens) for part in net.members]
    torch.testing.assert_close(logits, sum(logits for logits, _ in alone) / 3, **CLOSE)
    torch.testing.assert_close(state, joined([state for _, state in alone]), **CLOSE)
    each, same = net.each(tokens)
    torch.testing.assert_close(each, torch.stack([logits for logits, _ in alone]), **CLOSE)
    torch.testing.assert_close(same, state, **CLOSE)
    assert not torch.allclose(each[0], each[1])


@every_member
def test_the_probabilities_are_the_geometric_mean(member):
    net, tokens = build(member), random_tokens()
    each = torch.stack([part(tokens)[0].softmax(-1) for part in net.members])
    product = each.prod(0) ** (1 / 3)
    torch.testing.assert_close(net(tokens)[0].softmax(-1), product / product.sum(-1, keepdim=True), **CLOSE)


@every_member
def test_a_state_is_gone_on_with_by_every_path(member):
    net, tokens = build(member), random_tokens(2 * T)
    whole, end = net(tokens)
    _, state = net(tokens[:, :T])
    torch.testing.assert_close(net(tokens[:, T:], state), (whole[:, T:], end), **CLOSE)
    explicit, trace = net.explicit(tokens[:, T:], state)
    torch.testing.assert_close(explicit, whole[:, T:], **CLOSE)
    last = torch.stack([layer[0]["h"][-1] for layer in trace])
    torch.testing.assert_close(last, end if torch.is_tensor(end) else end[0], **CLOSE)
    step, logits = net.stepper(), []
    for token in tokens[:, T:].unbind(1):
        out, state = step(token, state)
        logits.append(out)
    torch.testing.assert_close((torch.stack(logits, 1), state), (whole[:, T:], end), **CLOSE)


def test_a_member_learns_by_its_own_loss_alone():
    net, tokens = build({"cell": "lstm"}).train(), random_tokens()
    logits, _ = net.each(tokens)
    logits[1].sum().backward()
    moved = [any(p.grad is not None and p.grad.any() for p in member.parameters()) for member in net.members]
    assert moved == [False, True, False]


def test_an_ensemble_of_one_is_its_member():
    net, tokens = build({"cell": "lstm", "num_layers": 2}, size=1), random_tokens()
    torch.testing.assert_close(net(tokens), net.members[0](tokens), rtol=0, atol=0)
    torch.testing.assert_close(net.each(tokens), net.members[0].each(tokens), rtol=0, atol=0)


def test_gradients_flow_through_the_layers_of_all():
    net = build({"cell": "lstm", "num_layers": 2})
    flow = gradient_flow(net, random_tokens(), torch.zeros(B, dtype=torch.int64))
    assert flow["h"].shape == flow["c"].shape == (6, 1, T)
    assert (flow["c"] > 0).all()


def test_the_optimiser_sees_the_parts_of_all_members():
    net = build({"cell": "lstm", "num_layers": 2})
    assert sorted(hidden_matrices(net).values()) == [4] * (3 * 2 * 2)
    config = complete({"name": "Muon", "weight_decay_of": {"output": 0.5}})
    groups = parameter_groups(net, config)
    decayed = {id(p) for group in groups if group.get("weight_decay") == 0.5 for p in group["params"]}
    assert decayed == {id(p) for member in net.members for p in member.output.parameters()}
    assert sum(len(group["params"]) for group in groups) == len(list(net.parameters()))
    with pytest.raises(ValueError, match="the net has no part members; allowed: embedding, blocks, output"):
        parameter_groups(net, complete({"weight_decay_of": {"members": 0.5}}))


def test_none_is_no_ensemble():
    with pytest.raises(ValueError, match="members is empty"):
        Ensemble([])
