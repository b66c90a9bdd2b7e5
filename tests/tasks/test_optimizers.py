"""Test that optimisers are built by name with exactly the given arguments, and schedules at chosen steps."""

import io

import pytest
import torch

from lightning_dl2.tasks.optimizers import (
    DEFAULTS,
    build_optimizer,
    build_schedule,
    check_schedule,
    complete,
    factor,
    parameter_groups,
)
from tests.own_parts import Lion


def optimizer(**config):
    return build_optimizer([torch.nn.Parameter(torch.ones(2, 2))], complete(config))


def factors(steps, **schedule):
    schedule = complete({"schedule": schedule})["schedule"]
    return [factor(step, schedule) for step in steps]


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam"])
def test_optimizers_by_name(name):
    built = optimizer(name=name, learning_rate=0.5, weight_decay=0.25)
    assert type(built) is getattr(torch.optim, name)
    assert (built.param_groups[0]["lr"], built.param_groups[0]["weight_decay"]) == (0.5, 0.25)


def test_no_weight_decay_means_none_whatever_the_class_thinks():
    assert torch.optim.AdamW([torch.zeros(1)]).param_groups[0]["weight_decay"] != 0
    assert optimizer(name="AdamW", weight_decay=0.0).param_groups[0]["weight_decay"] == 0


def test_arguments_go_to_the_class():
    built = optimizer(name="Adam", arguments={"betas": [0.5, 0.75], "amsgrad": True})
    assert list(built.param_groups[0]["betas"]) == [0.5, 0.75] and built.param_groups[0]["amsgrad"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "adam"}, "adam: is no optimiser of torch.optim; allowed: .*Adam, .*SGD"),
        ({"name": "Optimizer"}, "is no optimiser"),
        ({"arguments": {"momentum": 0.9}}, "Adam takes no momentum; allowed arguments: .*betas"),
        ({"arguments": {"lr": 1.0}}, "Adam takes no lr"),
        ({"name": "Rprop", "weight_decay": 0.1}, "Rprop takes no weight_decay"),
        ({"name": "Rprop", "weight_decay_of": {"layers": 0.1}}, "Rprop takes no weight_decay"),
        ({"lr": 0.1}, "unknown lr; allowed: name, learning_rate"),
        ({"schedule": {"name": "cosin"}}, "schedule is 'cosin'; it must be one of constant, linear, cosine"),
        ({"schedule": {"name": "cosine"}}, "cosine has total_steps=None; it must be more than warmup_steps=0"),
        ({"schedule": {"name": "linear", "warmup_steps": 9, "total_steps": 9}}, "more than warmup_steps=9"),
        ({"schedule": {"name": "plateau", "warmup_steps": 9}}, "plateau has no warm-up"),
        ({"schedule": {"steps": 9}}, "unknown steps; allowed: name, warmup_steps"),
    ],
)
def test_mistakes_are_named(config, message):
    with pytest.raises(ValueError, match=message):
        optimizer(**config)


OWN = "tests.own_parts"
TORCH = "torch.optim.lr_scheduler"


def test_an_optimizer_by_its_dotted_path():
    built = optimizer(name=f"{OWN}.Lion", learning_rate=0.5, arguments={"betas": [0.5, 0.75]})
    assert isinstance(built, Lion) and built.param_groups[0]["lr"] == 0.5
    assert type(optimizer(name="torch.optim.SGD", arguments={"momentum": 0.5})) is torch.optim.SGD


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ({"name": f"{TORCH}.StepLR", "arguments": {"step_size": 2, "gamma": 0.5}}, [8, 8, 4, 4, 2]),
        ({"name": f"{TORCH}.MultiStepLR", "arguments": {"milestones": [1.0, 3.0]}}, [8, 0.8, 0.8, 0.08, 0.08]),
        ({"name": f"{OWN}.ramp", "arguments": {"warmup": 2}}, [0.8, 4.4, 8, 8, 8]),
    ],
)
def test_a_schedule_by_its_dotted_path_continues_from_its_state(schedule, rates):
    """A schedule of torch or of a function steps as asked for; its state survives a checkpoint's file."""
    schedule = complete({"schedule": schedule})["schedule"]
    built = optimizer(name="SGD", learning_rate=8.0)
    check_schedule(built, schedule, 5)
    found = []
    built = optimizer(name="SGD", learning_rate=8.0)
    scheduler = build_schedule(built, schedule)
    for _ in range(5):
        found.append(built.param_groups[0]["lr"])
        built.step()
        scheduler.step()
        content = io.BytesIO()
        torch.save((built.state_dict(), scheduler.state_dict()), content)
        content.seek(0)
        built = optimizer(name="SGD", learning_rate=8.0)
        scheduler = build_schedule(built, schedule)
        for part, state in zip((built, scheduler), torch.load(content, weights_only=True), strict=True):
            part.load_state_dict(state)
    assert found == pytest.approx(rates)


def test_what_is_left_out_has_its_default():
    config = complete({"learning_rate": 1.0, "schedule": {"name": "exponential"}})
    assert config == DEFAULTS | {"learning_rate": 1.0, "schedule": DEFAULTS["schedule"] | {"name": "exponential"}}
    assert complete({}) == DEFAULTS


@pytest.mark.parametrize("name", ["constant", "linear", "cosine", "exponential"])
def test_warm_up_rises_linearly_to_the_full_rate(name):
    warm = factors(range(5), name=name, warmup_steps=4, total_steps=100, decay_every=100)
    assert warm == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_schedules_at_chosen_steps():
    assert factors([0, 10**9], name="constant") == [1, 1]
    ends = {"warmup_steps": 2, "total_steps": 12, "final_factor": 0.2}
    assert factors([2, 7, 12, 13, 10**9], name="linear", **ends) == pytest.approx([1, 0.6, 0.2, 0.2, 0.2])
    assert factors([2, 7, 12, 13, 10**9], name="cosine", **ends) == pytest.approx([1, 0.6, 0.2, 0.2, 0.2])
    assert factors([4.5], name="cosine", **ends) > factors([4.5], name="linear", **ends)  # the cosine falls later
    assert factors([11, 12], name="cosine", **ends)[0] > 0.2
    steps = [0, 2, 4, 5, 7, 8, 32]
    expected = [0.5, 1, 1, 0.5, 0.5, 0.25, 0.5**10]
    assert factors(steps, name="exponential", warmup_steps=2, decay=0.5, decay_every=3) == expected


def test_the_schedule_multiplies_the_rate():
    built = optimizer(name="SGD", learning_rate=8.0)
    schedule = build_schedule(built, complete({"schedule": {"name": "linear", "total_steps": 4}})["schedule"])
    rates = []
    for _ in range(6):
        rates.append(built.param_groups[0]["lr"])
        built.step()
        schedule.step()
    assert rates == [8, 6, 4, 2, 0, 0]


class Net(torch.nn.Module):
    """A net of three parts with parameters, one of them a bare parameter, and one part without."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(2, 3), torch.nn.Linear(3, 4)
        self.scale, self.nothing = torch.nn.Parameter(torch.ones(1)), torch.nn.ReLU()


def groups(**decays):
    net, config = Net(), complete({"name": "AdamW", "weight_decay": 0.25, "weight_decay_of": decays})
    names = {parameter: name for name, parameter in net.named_parameters()}
    built = build_optimizer(parameter_groups(net, config), config)
    return {group["weight_decay"]: [names[parameter] for parameter in group["params"]] for group in built.param_groups}


def test_parts_have_their_own_weight_decay():
    """Every parameter is in one group; parts that are not named have the general decay."""
    first, second = ["first.weight", "first.bias"], ["second.weight", "second.bias"]
    assert groups() == {0.25: ["scale", *first, *second]}
    assert groups(second=0.5) == {0.25: ["scale", *first], 0.5: second}
    assert groups(second=0.5, first=0.0) == {0.25: ["scale"], 0.5: second, 0.0: first}


def test_a_part_has_the_decay_it_is_told_in_the_update():
    """The decay of a part is applied: without a gradient, SGD moves a weight by the decay alone."""
    net = Net()
    config = complete({"name": "SGD", "learning_rate": 1.0, "weight_decay": 0.25, "weight_decay_of": {"second": 0.5}})
    built = build_optimizer(parameter_groups(net, config), config)
    before = {name: parameter.clone() for name, parameter in net.named_parameters()}
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    built.step()
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(parameter, before[name] * (0.5 if name.startswith("second") else 0.75))


def test_all_parts_may_have_their_own():
    net = torch.nn.Sequential(torch.nn.Linear(2, 2))
    (group,) = parameter_groups(net, complete({"weight_decay_of": {"0": 0.5}}))
    assert group["weight_decay"] == 0.5 and len(group["params"]) == 2


@pytest.mark.parametrize("part", ["third", "nothing", "scale", "first.weight"])
def test_an_unknown_part_is_named(part):
    with pytest.raises(ValueError, match=f"weight_decay_of: the net has no part {part}; allowed: first, second"):
        groups(**{part: 0.1})


def test_parts_that_share_a_parameter_cannot_differ():
    net = Net()
    net.second.bias = net.first.bias
    config = complete({"weight_decay_of": {"first": 0.1}})
    assert sum(len(group["params"]) for group in parameter_groups(net, config)) == 4
    with pytest.raises(ValueError, match="weight_decay_of: first, second share parameters; allowed: one"):
        parameter_groups(net, complete({"weight_decay_of": {"first": 0.1, "second": 0.2}}))


def test_the_schedule_multiplies_the_rate_of_every_part():
    net, config = Net(), complete({"name": "SGD", "learning_rate": 8.0, "weight_decay_of": {"first": 0.1}})
    built = build_optimizer(parameter_groups(net, config), config)
    schedule = build_schedule(built, complete({"schedule": {"name": "linear", "total_steps": 4}})["schedule"])
    built.step()
    schedule.step()
    assert [group["lr"] for group in built.param_groups] == [6.0, 6.0]


def test_plateau_waits_for_its_patience():
    schedule = complete({"schedule": {"name": "plateau", "patience": 3, "decay": 0.5}})["schedule"]
    plateau = build_schedule(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), schedule)
    rates = []
    for _ in range(6):
        plateau.step(1.0)
        rates.append(plateau.get_last_lr()[0])
    assert rates == [1, 1, 1, 1, 0.5, 0.5]  # the first value is the best; patience covers three more
