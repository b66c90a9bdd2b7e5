"""Test Muon's update of matrices, AdamW's of all other parameters, and the choice between the two."""

import pytest
import torch
from torch import nn

from lightning_dl2.nets import LanguageModel, Recurrent
from lightning_dl2.tasks.muon import Muon, hidden_matrices, orthogonal
from lightning_dl2.tasks.optimizers import build_optimizer, build_schedule, complete, parameter_groups


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def parameter(*shape: int, seed: int = 0) -> nn.Parameter:
    found = nn.Parameter(drawn(*shape, seed=seed))
    found.grad = drawn(*shape, seed=seed + 1)
    return found


@pytest.mark.parametrize("shape", [(16, 16), (8, 24), (24, 8), (1, 9)])
def test_the_directions_stay_and_the_singular_values_become_alike(shape):
    """The update is U V^T up to the iteration's tolerance: singular values between 0.8 and 1.2."""
    matrix = drawn(*shape)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    inner = u.mT @ orthogonal(matrix.unsqueeze(0))[0] @ v.mT
    assert (inner - inner.diagonal().diag()).abs().max() < 1e-10
    assert 0.8 < inner.diagonal().min() and inner.diagonal().max() < 1.2


def test_the_size_of_the_gradient_does_not_count():
    matrix = drawn(1, 6, 6)
    torch.testing.assert_close(orthogonal(matrix * 1e-4), orthogonal(matrix))
    assert orthogonal(torch.zeros(1, 6, 6)).eq(0).all()


def test_a_step_is_momentum_and_decay_as_the_paper_has_them():
    weight = parameter(6, 4)
    before, gradients = weight.detach().clone(), [weight.grad, drawn(6, 4, seed=9)]
    optimizer = Muon([{"params": [weight], "blocks": 1}], lr=0.01, weight_decay=0.5, momentum=0.9)
    momentum = torch.zeros(6, 4, dtype=torch.float64)
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
        momentum = 0.9 * momentum + 0.1 * gradient
        update = orthogonal((0.9 * momentum + 0.1 * gradient).unsqueeze(0))[0]
        before = before * (1 - 0.01 * 0.5) - 0.01 * (6 / 4) ** 0.5 * update
    torch.testing.assert_close(weight.detach(), before)


def test_the_blocks_of_a_parameter_are_orthogonalised_each_for_itself():
    whole = parameter(12, 5)
    parts = [nn.Parameter(part.clone()) for part in whole.detach().chunk(3)]
    for part, gradient in zip(parts, whole.grad.chunk(3), strict=True):
        part.grad = gradient.clone()
    for params, blocks in (([whole], 3), (parts, 1)):
        Muon([{"params": params, "blocks": blocks}], lr=0.1).step()
    torch.testing.assert_close(whole.detach(), torch.cat([part.detach() for part in parts]))


@pytest.mark.parametrize(("shape", "length"), [((64, 64), 1.0), ((32, 128), 1.0), ((128, 32), 2.0)])
def test_every_direction_moves_by_the_learning_rate(shape, length):
    weight = parameter(*shape)
    before = weight.detach().clone()
    Muon([{"params": [weight], "blocks": 1}], lr=0.5, weight_decay=0.0).step()
    moved = torch.linalg.svdvals(weight.detach() - before) / 0.5
    assert 0.8 * length < moved[: len(moved) * 9 // 10].min() and moved.max() < 1.2 * length


def test_what_is_no_hidden_matrix_is_adamws():
    ours, theirs = [[parameter(3, seed=1), parameter(4, 2, seed=2)] for _ in range(2)]
    options = {"weight_decay": 0.3, "betas": (0.8, 0.9), "eps": 1e-6}
    matrix = parameter(4, 4)
    muon = Muon([{"params": ours}, {"params": [matrix], "blocks": 1}], adamw_lr=0.1, **options)
    adamw = torch.optim.AdamW(theirs, lr=0.1, **options)
    for _ in range(3):
        muon.step()
        adamw.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_saved_state_goes_on_to_the_same_bits():
    def fresh() -> tuple[list[nn.Parameter], Muon]:
        vector, matrix = parameter(3, seed=1), parameter(4, 4)
        return [vector, matrix], Muon([{"params": [vector]}, {"params": [matrix], "blocks": 2}], lr=0.1)

    whole, optimizer = fresh()
    for _ in range(4):
        optimizer.step()
    first, optimizer = fresh()
    for _ in range(2):
        optimizer.step()
    saved = optimizer.state_dict()
    second, optimizer = fresh()
    for there, here in zip(first, second, strict=True):
        here.data.copy_(there.data)
    optimizer.load_state_dict(saved)
    for _ in range(2):
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(whole, second, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_parameter_without_gradient_stays():
    weight = nn.Parameter(torch.ones(2, 2))
    Muon([{"params": [weight], "blocks": 1}], lr=0.1).step()
    assert weight.eq(1).all()


@pytest.mark.parametrize(("name", "value"), [("momentum", -0.1), ("momentum", 1.0), ("lr", -1.0), ("adamw_lr", -1.0)])
def test_impossible_arguments(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}; it must be"):
        Muon([nn.Parameter(torch.ones(1))], **{name: value})


def test_a_schedule_scales_both_rates():
    net, schedule = Recurrent("lstm", 3, 4), {"name": "linear", "total_steps": 4}
    config = complete({"name": "Muon", "learning_rate": 0.5, "arguments": {"adamw_lr": 0.25}, "schedule": schedule})
    optimizer = build_optimizer(parameter_groups(net, config), config)
    scheduler = build_schedule(optimizer, config["schedule"])
    assert {group["blocks"]: group["lr"] for group in optimizer.param_groups} == {0: 0.25, 4: 0.5}
    optimizer.step()
    scheduler.step()
    assert {group["blocks"]: group["lr"] for group in optimizer.param_groups} == {0: 0.1875, 4: 0.375}


CELLS = {  # parameters that are matrices, and their gates
    "rnn": {"weight_ih": 1, "weight_hh": 1},
    "lstm": {"weight_ih": 4, "weight_hh": 4},
    "gru": {"weight_ih": 3, "weight_hh": 3},
    "peephole": {"weight_ih": 4, "weight_hh": 4},
}


@pytest.mark.parametrize("cell", CELLS)
def test_the_matrices_of_a_recurrent_layer(cell):
    net = Recurrent(cell, 5, 7, 2, bidirectional=True)
    names = {p: name for name, p in net.named_parameters()}
    expected = {
        f"core.{kind}_l{layer}{way}": gates
        for kind, gates in CELLS[cell].items()
        for layer in (0, 1)
        for way in ("", "_reverse")
    }
    assert {names[p]: blocks for p, blocks in hidden_matrices(net).items()} == expected


def test_the_courses_peephole_has_matrices_from_the_cell():
    net = Recurrent("peephole", 5, 7, peephole="assignment")
    assert sorted(hidden_matrices(net).values()) == [3, 4]


def test_embedding_and_output_are_not_hidden():
    net = LanguageModel(
        9, cell="lstm", hidden_size=8, embedding_size=6, projection_size=6, tie_weights=True, num_layers=2
    )
    names = {p: name for name, p in net.named_parameters()}
    found = {names[p] for p in hidden_matrices(net)}
    assert "projection.weight" in found and len(found) == 5
    assert all(name.startswith(("blocks.", "projection.")) for name in found)


def test_groups_have_parts_and_blocks():
    """Every parameter is in one group, with the decay of its part and the blocks of its matrix."""
    net = LanguageModel(9, cell="lstm", hidden_size=8)
    decays = {"blocks": 0.5, "embedding": 0.0}
    config = complete({"name": "Muon", "weight_decay": 0.25, "weight_decay_of": decays, "arguments": {"momentum": 0.9}})
    optimizer = build_optimizer(parameter_groups(net, config), config)
    names = {p: name for name, p in net.named_parameters()}
    found = [
        (group["weight_decay"], group["blocks"], sorted(names[p] for p in group["params"]))
        for group in optimizer.param_groups
    ]
    core = "blocks.0.core."
    assert found == [
        (0.5, 4, [f"{core}weight_hh_l0", f"{core}weight_ih_l0"]),
        (0.25, 0, ["output.bias", "output.weight"]),
        (0.5, 0, [f"{core}bias_hh_l0", f"{core}bias_ih_l0"]),
        (0.0, 0, ["embedding.weight"]),
    ]
    assert all(group["momentum"] == 0.9 for group in optimizer.param_groups)
