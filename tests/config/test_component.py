"""Test that the constructor of a user's class is its schema."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import torch
from pydantic import Field

from lightning_dl2 import compose
from lightning_dl2.common.errors import UserError
from lightning_dl2.config.component import check_component, describe_arguments, instantiate
from lightning_dl2.config.compose import validate
from lightning_dl2.config.conf_files import VARIABLE, take_config_dir
from lightning_dl2.config.identity import changed_choices, identity, to_overrides
from lightning_dl2.config.schema import OwnData, OwnTask
from lightning_dl2.data.build import build_data
from lightning_dl2.train import main


class Net:
    """Stand for a task.

    Args:
        hidden_size: units of a layer,
            and no more.
        activation: of the units.
    """

    def __init__(
        self,
        hidden_size: Annotated[int, Field(ge=1)],
        activation: Literal["relu", "tanh"] = "relu",
        rate: float = 0.1,
        sizes: tuple[int, ...] = (1, 2),
        path: Path | None = None,
        inner: Callable[..., Any] | None = None,
        copy: bool = False,
        spec: dict[str, Any] | None = None,
        later: "Unknown" = None,  # noqa: F821  a name that only a type checker imports
    ) -> None:
        self.arguments = {name: value for name, value in locals().items() if name != "self"}


def by_position(size: int, /) -> None:
    """Take no keyword."""


def anything(**kwargs: Any) -> dict[str, Any]:
    """Return all arguments."""
    return kwargs


HERE = __name__
TARGET = {"_target_": f"{HERE}.Net", "hidden_size": 3}


@pytest.fixture(autouse=True)
def this_module_is_importable(monkeypatch):
    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])


def test_defaults_are_filled_in_and_values_converted():
    values = check_component("task", TARGET | {"path": "a/b", "rate": 1})
    assert list(values)[0] == "_target_" and values["hidden_size"] == 3 and values["sizes"] == [1, 2]
    assert "spec" not in values and values["copy"] is False
    given = instantiate("task", values, spec={"a": 1}).arguments
    assert given["sizes"] == (1, 2) and given["path"] == Path("a/b") and given["spec"] == {"a": 1}
    assert instantiate("task", TARGET).arguments["spec"] is None


WRONG = {
    'hidden_size="ten"': 'task.hidden_size="ten": allowed: an integer; task is {here}.Net',
    "hidden_size=0": "task.hidden_size=0: allowed: greater than or equal to 1; task is {here}.Net",
    "hidden_size=true": "task.hidden_size=true: allowed: an integer; task is {here}.Net",
    "activation=gelu": "task.activation=\"gelu\": allowed: 'relu' or 'tanh'; task is {here}.Net",
    "hiden_size=3": "task.hiden_size=3: there is no key task.hiden_size; did you mean hidden_size or sizes? allowed: ",
    "sizes=[1,x]": 'task.sizes=[1, "x"]: allowed: an integer',
    "_target_=3": "task._target_=3: allowed: a dotted path",
    "_target_={here}.Nett": "task._target_={here}.Nett: {here} has no Nett; did you mean Net?",
}


@pytest.mark.parametrize("word", WRONG)
def test_a_wrong_argument_is_one_line(word):
    key, _, text = word.replace("{here}", HERE).partition("=")
    value: Any = {"true": True, "3": 3, "0": 0, "[1,x]": [1, "x"], '"ten"': "ten"}.get(text, text)
    with pytest.raises(UserError) as told:
        check_component("task", TARGET | {key: value})
    assert str(told.value).startswith(WRONG[word].replace("{here}", HERE)) and "\n" not in str(told.value)


def test_a_missing_argument_and_one_by_position_are_one_line():
    with pytest.raises(UserError, match="^task.hidden_size: is missing; fix: give task.hidden_size=VALUE; task is "):
        check_component("task", {"_target_": f"{HERE}.Net"})
    with pytest.raises(UserError, match=r"^task.size: .* takes it by position only"):
        check_component("task", {"_target_": f"{HERE}.by_position", "size": 3})


def test_components_within_components_are_built():
    inner = {"_target_": f"{HERE}.anything", "a": [{"_target_": f"{HERE}.anything", "b": 1}]}
    assert instantiate("task", TARGET | {"inner": inner}).arguments["inner"] == {"a": [{"b": 1}]}
    waiting = instantiate("task", TARGET | {"inner": inner | {"_partial_": True}}).arguments["inner"]
    assert isinstance(waiting, partial) and waiting(c=2) == {"a": [{"b": 1}], "c": 2}
    with pytest.raises(UserError, match="^task.inner.hidden_size=0: allowed: "):
        instantiate("task", TARGET | {"inner": TARGET | {"hidden_size": 0}})


def test_what_a_constructor_raises_is_one_line():
    with pytest.raises(UserError, match=r"^data: .*fails cannot be built: TypeError: no luck"):
        instantiate("data", {"_target_": f"{HERE}.fails"})


def fails() -> None:
    raise TypeError("no luck")


def test_arguments_are_described_by_the_docstring():
    described = {"hidden_size": "units of a layer, and no more.", "activation": "of the units."}
    assert describe_arguments(Net) == described


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """Return a directory of configuration files of a user's own, which is searched first."""
    folder = tmp_path / "own"
    for group in ("experiment", "task"):
        (folder / group).mkdir(parents=True)
    (folder / "experiment" / "mine.yaml").write_text(
        dedent(f"""\
        # @package _global_
        data: {{_target_: {HERE}.anything, num_classes: 4}}
        task: {{_target_: {HERE}.Net, hidden_size: 3, rate: "${{data.num_classes}}", path: "${{data.size}}"}}
        trainer: {{max_steps: 7}}
        """)
    )
    (folder / "task" / "net.yaml").write_text(f"_target_: {HERE}.Net\nhidden_size: 5\n")
    monkeypatch.setenv(VARIABLE, "")
    assert take_config_dir(["--config-dir", str(folder), "seed=1"]) == ["seed=1"]
    return folder


@pytest.mark.slow
def test_an_experiment_of_the_users_own(conf):
    config = compose("experiment=mine", "task.activation=tanh", "task.hidden_size=8")
    assert isinstance(config.data, OwnData) and isinstance(config.task, OwnTask)
    task = config.model_dump()["task"]
    assert task["_target_"] == f"{HERE}.Net" and (task["hidden_size"], task["activation"]) == (8, "tanh")
    assert task["rate"] == 4 and task["path"] == "${data.size}"  # asked of the data module, once it is built
    assert not config.callbacks.solved.enabled and config.trainer.max_steps == 7
    assert changed_choices(config) == {"task.activation": "tanh", "task.hidden_size": 8}
    assert compose(*to_overrides(config)) == config.model_copy(update={"trainer": config.trainer})
    assert identity(config)["task._target_"] == f"{HERE}.Net"
    assert validate(config.model_dump(), recorded=True) == config


@pytest.mark.slow
def test_a_class_replaces_the_group_that_the_main_file_chooses(conf):
    config = compose("experiment=own", "data=cora", "task=net", "task.rate=0.5")
    assert config.task.arguments["hidden_size"] == 5 and config.task.arguments["rate"] == 0.5
    typed = compose("experiment=own", "data=cora", f"task._target_={HERE}.Net", "task.hidden_size=2")
    assert typed.task.arguments["hidden_size"] == 2 and "cell" not in typed.task.arguments
    with pytest.raises(UserError, match="^task.hiden_size=3: there is no key task.hiden_size; did you mean"):
        compose("experiment=mine", "task.hiden_size=3")
    with pytest.raises(UserError, match="^experiment=mien: did you mean mine"):
        compose("experiment=mien")


def test_help_lists_the_choices_of_the_user(conf, capsys):
    assert main(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "| mine " in shown and "hidden_size: ??? # units of a layer, and no more." in shown
    assert f"# task/net.yaml: task is {HERE}.Net" in shown and "rate: 0.1 sizes: [1, 2]" in shown


def test_a_directory_that_does_not_exist_is_one_line(capsys, monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    for words, says in (
        (["--config-dir", "nowhere"], "error: --config-dir=nowhere: there is no such directory; allowed: "),
        (["--config-dir"], "error: --config-dir: names no directory; allowed: --config-dir DIR"),
    ):
        assert main(words) == 2 and capsys.readouterr().err.startswith(says)
    monkeypatch.setenv(VARIABLE, "nowhere")
    assert main([]) == 2 and f"{VARIABLE}=nowhere: there is no directory" in capsys.readouterr().err


class DrawnAtOnce:
    """Data that are drawn by the constructor, as Lightning's BoringDataModule draws its own."""

    batches_per_epoch = 1

    def __init__(self) -> None:
        self.values = torch.randn(3), np.random.rand(3)

    def train_batch(self, step: int) -> torch.Tensor:
        return self.values[0]


def test_data_drawn_by_a_constructor_are_the_same_in_each_process():
    """A resumed run would otherwise go on with other data, which nothing could tell."""
    before = torch.get_rng_state()
    data = OwnData(path=f"{HERE}.DrawnAtOnce", given={})
    one, again, other = (build_data(data, seed).source.values for seed in (0, 0, 1))
    torch.manual_seed(torch.seed())  # another process has other generators
    later = build_data(data, 0).source.values
    assert all(torch.equal(one[0], each[0]) and np.array_equal(one[1], each[1]) for each in (again, later))
    assert not torch.equal(one[0], other[0])
    torch.set_rng_state(before)
