"""Test what holds for every cell: the parameter formula, and that its forms agree wherever a net uses it."""

import random

import pytest
import torch

from lightning_dl2.builtin.cells import CELLS as CELL_FACTS
from lightning_dl2.nets import CELLS, LanguageModel, Recurrent, RecurrentClassifier, check_cell, count_parameters
from lightning_dl2.nets.recurrent import cells
from lightning_dl2.nets.recurrent.cells import CLASSIC
from lightning_dl2.nets.recurrent.gradient_flow import gradient_flow
from lightning_dl2.nets.recurrent.lookup import PARTS

NEW = [name for name in CELLS if name not in CLASSIC]
D, H, B, T = 3, 4, 3, 6


@pytest.mark.parametrize("cell", CELLS)
def test_count_equals_the_built_net(cell):
    draw = random.Random(0)
    for _ in range(20 if cell in CLASSIC else 5):  # of the others, each is built by way of a step
        sizes = {"input_size": draw.randint(1, 9), "hidden_size": draw.randint(1, 9)}
        options = {
            "num_layers": draw.randint(1, 3),
            "bidirectional": draw.random() < 0.5,
            "bias": draw.random() < 0.7,
            "reset_after": draw.random() < 0.5,
            "peephole": draw.choice(["gers", "assignment"]),
        }
        built = {"input": 0, "recurrent": 0, "biases": 0, "peepholes": 0}
        net = Recurrent(cell, **sizes, **options)
        for name, parameter in net.core.named_parameters():
            built[PARTS.get(name[: name.index("_l")], "peepholes")] += parameter.numel()
        built["total"] = sum(p.numel() for p in net.parameters())
        assert count_parameters(cell, **sizes, **options) == built, (sizes, options)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cell", NEW)
def test_sequence_step_and_carried_state_are_one_function(cell, bias):
    check_cell(cell, input_size=D, hidden_size=H, bias=bias)


@pytest.mark.parametrize("cell", ["mingru", "minlstm", "lru", "s6", "s6_signed"])
def test_linear_cells_compute_the_same_without_a_loop_over_steps(cell, monkeypatch):
    """The tree that other devices use is tried on the CPU."""
    used = []
    for module in (cells.scan, cells.selective):
        monkeypatch.setattr(module, "prefers_loop", lambda device: used.append(device) is not None)
    check_cell(cell, input_size=D, hidden_size=H)
    assert used


@pytest.mark.parametrize("cell", NEW)
def test_padding_is_not_read_in_either_direction(cell):
    torch.manual_seed(0)
    net = Recurrent(cell, D, H, num_layers=2, bidirectional=True).double()
    x, lengths = torch.randn(B, T, D, dtype=torch.float64), torch.tensor([T, 2, 4])
    outputs = net(x, lengths=lengths)[0]
    explicit = net.explicit(x, lengths=lengths)[0]
    for row, length in enumerate(lengths.tolist()):
        alone = net(x[row : row + 1, :length])[0][0]
        for found in (outputs, explicit):
            torch.testing.assert_close(found[row, :length], alone, rtol=0, atol=1e-10)


@pytest.mark.parametrize("cell", [name for name in NEW if CELL_FACTS[name].reads_text])
def test_generation_steps_as_the_sequence_runs(cell):
    torch.manual_seed(0)
    net = LanguageModel(7, hidden_size=H, num_layers=2, cell=cell, initialization="orthogonal").double()
    tokens = torch.randint(7, (B, T))
    logits, end = net(tokens)
    step, state = net.stepper(), None
    for t in range(T):
        found, state = step(tokens[:, t], state)
        torch.testing.assert_close(found, logits[:, t], rtol=0, atol=1e-10)
    torch.testing.assert_close(state, end, rtol=0, atol=1e-10)


@pytest.mark.parametrize("cell", NEW)
def test_gates_and_gradient_flow_are_finite(cell):
    torch.manual_seed(0)
    net = RecurrentClassifier(7, 5, hidden_size=H, bidirectional=True, cell=cell, initialization="orthogonal")
    tokens, labels = torch.randint(7, (B, T)), torch.tensor([1, 2, 3])
    flow = gradient_flow(net, tokens, labels)
    assert set(flow) == set(net.recurrent.cell.state)
    assert all(norms.shape == (1, 2, T) and norms.isfinite().all() for norms in flow.values())
    assert any(norms[0, 0, 0] > 0 for norms in flow.values()), "the loss reaches the first state"
    last = -2 if cell in ("stack_rnn", "tape_rnn") else -1  # a step reads the memory of the step before
    assert flow[net.recurrent.cell.state[-1]][0, 0, last] > 0, "the state of the trace is the one that is read"
    _, trace = net.explicit(tokens)
    assert set(net.recurrent.cell.gates) <= set(trace[0][0])


@pytest.mark.parametrize("cell", NEW)
def test_every_initialization_gives_finite_gradients_in_every_precision(cell):
    for initialization in ("torch", "kaiming", "xavier", "orthogonal"):
        torch.manual_seed(0)
        net = Recurrent(cell, D, H, num_layers=2, initialization=initialization)
        assert all(parameter.isfinite().all() for parameter in net.parameters())
        with torch.autocast("cpu", torch.bfloat16):
            outputs, _ = net(torch.randn(B, T, D))
        assert outputs.dtype == torch.float32
        outputs.square().mean().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
