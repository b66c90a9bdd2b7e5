"""Test that a user's cell computes what the built-in one of the same equations does, and that mistakes are one line."""

import pytest
import torch

from lightning_dl2 import compose
from lightning_dl2.common.errors import UserError
from lightning_dl2.config.identity import changed_choices, to_overrides
from lightning_dl2.decoding import Decoding, generate
from lightning_dl2.nets import Cell, LanguageModel, Recurrent, RecurrentClassifier, check_cell, count_parameters
from lightning_dl2.nets.recurrent.gradient_flow import gradient_flow

HERE = "tests.nets.recurrent.strangers."
COPIES = {  # of the cell of the package that has the same equations
    "EquationsGRU": "gru",
    "EquationsPeephole": "peephole",
    "ModuleGRU": "gru",
    "ModulePeephole": "peephole",
}
EQUATIONS, MODULES = [*COPIES][:2], [*COPIES][2:]
D, H, B, T = 3, 4, 2, 5
SHAPE = {"num_layers": 2, "bidirectional": True}


def as_module(name):
    """Return the name of a weight of a user's module: weight_ih_l0_reverse -> l0_reverse.weight_ih."""
    head, core, rest = name.rpartition("core.")
    weight, _, suffix = rest.partition("_l")
    return f"{head}{core}l{suffix}.{weight}" if core else name


def pair(name, build, **options):
    """Build two nets with equal weights in float64: of the user's cell `name`, and of the package's."""
    torch.manual_seed(0)
    theirs = build(cell=COPIES[name], **options).double()
    own = build(cell=HERE + name, **options).double()
    weights = theirs.state_dict()
    own.load_state_dict({as_module(key): value for key, value in weights.items()} if name in MODULES else weights)
    return own, theirs


def in_order(own, theirs):
    """Return the parameters of both nets in the same order."""
    found = dict(own.named_parameters())
    names = dict(theirs.named_parameters())
    return [found.get(name, found.get(as_module(name))) for name in names], [*names.values()]


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_computes_what_the_original_does(name):
    own, theirs = pair(name, Recurrent, input_size=D, hidden_size=H, **SHAPE)
    x = torch.randn(B, T, D, dtype=torch.float64)
    exact = {"rtol": 0, "atol": 1e-12}
    outputs, traces = [], []
    for path in ("forward", "explicit"):
        results = []
        for net, leaves in zip((own, theirs), in_order(own, theirs), strict=True):
            y, state, *trace = getattr(net, path)(x)
            states = [state] if isinstance(state, torch.Tensor) else [*state]
            gradients = torch.autograd.grad(y.square().sum() + sum(s.sum() for s in states), leaves, retain_graph=True)
            results.append([y, *states, *gradients])
            traces += trace
        torch.testing.assert_close(*results, **exact)
        outputs.append(results)
    if name in EQUATIONS:  # the same operations give the same bits
        torch.testing.assert_close(*outputs[1], rtol=0, atol=0)
        torch.testing.assert_close(*traces, rtol=0, atol=0)
    elif name == "ModulePeephole":
        torch.testing.assert_close(*traces, **exact)
    assert sum(p.numel() for p in own.parameters()) == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_generates_what_the_original_does(name):
    sizes = {"hidden_size": H, "num_layers": 2, "layer_norm": True}
    own, theirs = pair(name, lambda **options: LanguageModel(7, **sizes, **options))
    for decoding in (Decoding(max_new_tokens=8), Decoding(max_new_tokens=6, num_beams=3, do_sample=False)):
        texts = [generate(net, [[1, 2], [3]], decoding, start_token=0) for net in (own, theirs)]
        assert [[r.tokens for r in results] for results in texts[0]] == [[r.tokens for r in rs] for rs in texts[1]]


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_has_the_gradient_flow_of_the_original(name):
    own, theirs = pair(name, lambda **options: RecurrentClassifier(7, 5, hidden_size=H, **SHAPE, **options))
    tokens, labels = torch.randint(7, (B, T)), torch.tensor([1, 2])
    flows = [gradient_flow(net, tokens, labels) for net in (own, theirs)]
    torch.testing.assert_close(*flows, rtol=0, atol=1e-12)


def test_a_seed_gives_equations_the_weights_of_the_original():
    options = {"initialization": "orthogonal", "forget_bias": "chrono", "sequence_length": 20, **SHAPE}
    states = []
    for cell in ("peephole", HERE + "EquationsPeephole"):
        torch.manual_seed(0)
        states.append(Recurrent(cell, D, H, **options).state_dict())
    torch.testing.assert_close(*states, rtol=0, atol=0)


def test_a_module_draws_its_own_weights():
    torch.manual_seed(0)
    expected = torch.nn.GRUCell(D, H).state_dict()
    torch.manual_seed(0)
    net = Recurrent(HERE + "ModuleGRU", D, H, initialization="orthogonal", forget_bias=3.0)
    torch.testing.assert_close(dict(net.weights(0)), dict(expected), rtol=0, atol=0)


@pytest.mark.parametrize("name", [*COPIES, "Attentive", "Scaled"])
@pytest.mark.parametrize("shape", [{}, {"num_layers": 3, "bidirectional": True}])
def test_parameters_are_counted_without_building(name, shape):
    built = sum(p.numel() for p in Recurrent(HERE + name, D, H, **shape).parameters())
    before = torch.get_rng_state()
    assert count_parameters(HERE + name, D, H, **shape)["total"] == built
    assert torch.equal(before, torch.get_rng_state())


def test_states_and_outputs_may_have_sizes_of_their_own():
    torch.manual_seed(0)
    net = LanguageModel(7, hidden_size=H, num_layers=2, cell=HERE + "Attentive").double()
    assert net.output.in_features == H // 2
    tokens = torch.randint(7, (B, T))
    logits, state = net(tokens)
    assert [part.shape for part in state] == [(2, B, H // 2), (2, B, 3, H // 2)]
    torch.testing.assert_close(net.explicit(tokens)[0], logits)  # the step against the sequence
    first, middle = net(tokens[:, :2])
    torch.testing.assert_close((torch.cat([first, net(tokens[:, 2:], middle)[0]], 1)), logits)
    step, carried = net.stepper(), None
    for t in range(T):
        found, carried = step(tokens[:, t], carried)
    torch.testing.assert_close((found, carried), (logits[:, -1], state))
    with pytest.raises(ValueError, match=r"it must be h and memory, of \[\[2, 2, 2\], \[2, 2, 3, 2\]\]"):
        net.blocks[0](torch.zeros(B, T, H, dtype=torch.float64), tuple(part[:1] for part in state))


def test_a_weight_of_an_unknown_name_is_set_by_initialize():
    net = Recurrent(HERE + "Scaled", D, H, num_layers=2, initialization="orthogonal")
    assert all((net.weights(layer)["scale"] == 2).all() for layer in range(2))
    torch.testing.assert_close(net.weights(1)["weight_hh"] @ net.weights(1)["weight_hh"].T, torch.eye(H))


def test_a_dict_gives_the_constructor_arguments():
    x = torch.randn(B, T, D)
    torch.manual_seed(0)
    net = Recurrent({"_target_": HERE + "Scaled", "leak": 0.0}, D, H)
    torch.manual_seed(0)
    leaky = Recurrent(HERE + "Scaled", D, H)
    assert net.cell.leak == 0 and leaky.cell.leak == 0.5 and not torch.allclose(net(x)[0], leaky(x)[0])
    module = Recurrent({"_target_": HERE + "Attentive", "keys": 5}, D, H)
    assert module.state_shapes["memory"] == (5, H // 2)


@pytest.mark.slow
def test_a_mapping_is_a_value_of_the_key():
    config = compose(f"task.cell={{_target_:{HERE}Scaled,leak:0.3}}", "task.cell.leak=0.7")
    assert changed_choices(config) == {"task.cell": {"_target_": HERE + "Scaled", "leak": 0.7}}
    assert compose(*to_overrides(config)).task == config.task
    for wrong, says in {"leek:1": "task.cell.leek=1: there is no key", "leak:x": "task.cell.leak=.*: a number"}.items():
        with pytest.raises(UserError, match=says):
            compose(f"task.cell={{_target_:{HERE}Scaled,{wrong}}}")


def test_weight_dropout_drops_the_matrices_from_the_state_of_equations():
    net = Recurrent(HERE + "EquationsGRU", D, H, weight_dropout=0.5)
    x = torch.randn(B, T, D)
    torch.manual_seed(0)
    mask = torch.nn.functional.dropout(net.weights(0)["weight_hh"], 0.5)
    torch.manual_seed(0)
    dropped = net(x)[0]
    with torch.no_grad():
        net.core["weight_hh_l0"].copy_(mask)
    torch.testing.assert_close(net.eval()(x)[0], dropped)


@pytest.mark.parametrize("name", ["EquationsPeephole", "ModulePeephole"])
def test_the_recurrence_stays_in_the_precision_of_the_parameters(name):
    net, x = Recurrent(HERE + name, D, H), torch.randn(B, T, D)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(net(x.bfloat16())[0], net(x.bfloat16().float())[0])


@pytest.mark.parametrize("name", [*COPIES, "Attentive", "Scaled", "Counting", "CountingModule"])
def test_check_cell_takes_what_is_right(name):
    before = torch.get_rng_state()
    check_cell(HERE + name)
    assert torch.equal(before, torch.get_rng_state())


WRONG = {
    "WrongSequence": "sequence and step from a state on the way: the outputs differ by",
    "WrongGradient": "sequence and step from zeros: the gradients differ by",
    "MixesTheBatch": "a sequence alone, and in a batch differ by",
    "HidesAWeight": "another instance with equal weights differ by",
    "UnusedWeight": "unused has no gradient",
    "Diverges": "are not finite",
}


@pytest.mark.parametrize("name", WRONG)
def test_check_cell_says_what_is_wrong(name):
    with pytest.raises(ValueError) as caught:
        check_cell(HERE + name)
    assert WRONG[name] in str(caught.value) and str(caught.value).startswith(f"cell={HERE}{name}: ")


PROBLEMS = {
    "not_a_class": "is a function; allowed: a class",
    "NoStep": "has no step; fix: make it a nn.Module with state, step",
    "Nothing": "has no gates and no state and no forget_gate and no shapes and no step; fix: make it a lightning_dl2",
    "StateIsAWord": "state is 'h'; allowed: a tuple of names, as ('h',)",
    "NoH": "state is ('c', 'h'); allowed: names, h the first of them",
    "WrongForgetGate": "forget_gate is 'f'; allowed: None or one of gates",
    "WrongShapes": "shapes gives weight_ih=12; allowed: NAME=(sizes >= 1)",
    "WrongStateShapes": "state_shapes has c; allowed: its states, h",
    "WideStep": "step returns h of [3, 8] for a batch of 3; allowed: [3, 4]",
    "LacksAState": "step returns no c, of state; fix: return it too",
    "LacksAGate": "step returns no r, z, n, of gates; fix: return it too",
    "Raises": "strangers.py, line",
    "ReturnsATensor": "step returns a Tensor; allowed: a dict by name",
    "NeedsMore": "its constructor is called with (input_size, hidden_size): missing",
    "ShortSequence": "sequence returns hs of [1, 3, 2] for a batch of 3 and 2 steps; allowed: [2, 3, 2]",
    "ForgetsTheLength": "sequence raises TypeError",
    "NotThere": "tests.nets.recurrent.strangers has no NotThere",
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_class_that_is_no_cell_is_one_line(name):
    with pytest.raises(UserError) as caught:
        Recurrent(HERE + name, D, H)
    assert str(caught.value).startswith(f"cell={HERE}{name}: ") and PROBLEMS[name] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Unknown", {"initialization": "xavier"}, "initialization=xavier: cannot draw scale of .*; fix: use"),
        ("Scaled", {"weight_dropout": 0.1, "bias": False}, None),
        ("ModulePeephole", {"weight_dropout": 0.1}, "weight_dropout is 0.1; with a module it must be 0"),
        ("ModulePeephole", {"bias": False}, "bias=False: .*ModulePeephole takes no argument `bias`; allowed: True"),
        ("ModuleGRU", {"bias": False}, None),
        ("EquationsGRU", {"bias": False, "forget_bias": 1.0}, "bias is False"),
    ],
)
def test_what_an_argument_acts_on_must_be_there(name, options, message):
    if message is None:
        Recurrent(HERE + name, D, H, **options)
    else:
        with pytest.raises(ValueError, match=message):
            Recurrent(HERE + name, D, H, **options)


@pytest.mark.parametrize("name", ["Counting", "CountingModule"])
def test_a_step_is_given_the_length_of_its_sequences_input(name):
    net, x = Recurrent(HERE + name, D, H), torch.randn(B, T, D)
    inputs = torch.tensor([2, 4])
    for outputs in (net(x, input_lengths=inputs)[0], net.explicit(x, input_lengths=inputs)[0]):
        assert torch.equal(outputs.any(2), torch.arange(T) < inputs[:, None])
    assert net(x)[0].any(2).all(), "no answer before the end"


def test_a_step_is_told_whether_it_trains():
    net, x = Recurrent(HERE + "AsleepInEvaluation", D, H), torch.randn(B, T, D)
    for run in (net, net.explicit):
        assert net.train() and run(x)[0].any()
        assert net.eval() and not run(x)[0].any(), "the state begins as zeros, and is left alone"


@pytest.mark.parametrize("cell", [HERE + "Counting", "tape_rnn", "lightning_dl2.nets.recurrent.cells.TapeRNN"])
def test_a_text_has_no_input_of_some_length(cell):
    with pytest.raises(ValueError, match=r"its step takes an input_length, which a text does not have"):
        LanguageModel(7, hidden_size=H, cell=cell)
    with pytest.raises(
        UserError, match=rf"^task.cell=.*{cell.split('.')[-1]}: .*takes an input_length, which .* allowed: "
    ):
        compose("experiment=text", f"task.cell={cell}").task.check_machine(False)


def test_a_local_class_is_taken_too():
    class Sum(Cell):
        gates, state = ("h",), ("h",)

        @classmethod
        def shapes(cls, D, H):
            return {"weight_ih": (H, D)}

        @staticmethod
        def step(w, x, h):
            return {"h": h + x @ w["weight_ih"].T}

    net, x = Recurrent(Sum, D, H), torch.randn(B, T, D)
    torch.testing.assert_close(net(x)[0], (x @ net.weights(0)["weight_ih"].T).cumsum(1))
    with pytest.raises(ValueError, match="without weight_hh or weight_ch it must be 0"):
        Recurrent(Sum, D, H, weight_dropout=0.1)
