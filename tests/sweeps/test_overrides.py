"""Test that overrides are read by Hydra's grammar or reported in one line."""

import pytest

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.conf_files import options
from lightning_dl2.sweeps.overrides import Span, SweptKey, read_overrides, with_file


@pytest.mark.parametrize(
    "word, key, values, span",
    [
        ("task.cell=lstm,gru", "task.cell", ("lstm", "gru"), None),
        ("task.cell=choice(lstm,gru)", "task.cell", ("lstm", "gru"), None),
        ("seed=range(3)", "seed", ("0", "1", "2"), Span(0, 2, 1, False)),
        ("seed=range(1,8,3)", "seed", ("1", "4", "7"), Span(1, 7, 3, False)),
        ("seed=range(5,0,-2)", "seed", ("5", "3", "1"), Span(1, 5, 2, False)),
        ("task.dropout=range(0,0.3,0.1)", "task.dropout", ("0.0", "0.1", "0.2"), Span(0.0, 0.2, 0.1, False)),
        ("task.dropout=interval(0,0.5)", "task.dropout", (), Span(0.0, 0.5, None, False)),
        ("task.dropout=tag(log,interval(0.01,0.5))", "task.dropout", (), Span(0.01, 0.5, None, True)),
        ("seed=int(interval(1,9))", "seed", (), Span(1, 9, None, False)),
        ("seed=tag(log,range(8,65))", "seed", tuple(map(str, range(8, 65))), Span(8, 64, 1, True)),
        ("optimizer=glob(adam*)", "optimizer", ("adam", "adamw"), None),
        ("+optimizer.arguments.eps=1e-6,1e-8", "+optimizer.arguments.eps", ("1e-06", "1e-08"), None),
        ("data.path='a,b','c d'", "data.path", ("'a,b'", "'c d'"), None),
        ("data.fanouts=[3,3],null", "data.fanouts", ("[3,3]", "null"), None),
        ("seed=1,1,2", "seed", ("1", "2"), None),
    ],
)  # fmt: skip
def test_what_varies(word, key, values, span):
    assert read_overrides([word]).parts == (SweptKey(key, values, span),)


def test_glob_knows_every_option():
    assert read_overrides(["trainer=glob(*)"]).swept[0].values == tuple(options("trainer"))


def test_sorted_into_own_and_the_runs():
    overrides = read_overrides(
        ["seed=0,1", "sweep=grid", "task.cell=gru", "launcher.jobs=2", "data.path='a,b'", "dry=true"]
    )
    assert overrides.own == ("sweep=grid", "launcher.jobs=2", "dry=true")
    assert [str(part) for part in overrides.parts] == ["seed=0,1", "task.cell=gru", "data.path='a,b'"]
    assert overrides.with_values({"seed": "1"}) == ["seed=1", "task.cell=gru", "data.path='a,b'"]


def test_a_typed_override_takes_the_place_of_a_files():
    typed = read_overrides(["sweep=mine", "task.cell=gru", "root=here", "seed=0,1"])
    both = with_file(typed, ["seed=range(3)", "task.hidden_size=8,16", "task.cell=rnn,lstm"])
    assert [str(part) for part in both.parts] == ["seed=0,1", "task.hidden_size=8,16", "task.cell=gru", "root=here"]
    assert both.own == ("sweep=mine",)
    with pytest.raises(UserError, match="sweep.overrides: launcher.jobs=2: is a key of the sweep; fix: write it"):
        with_file(typed, ["launcher.jobs=2"])


@pytest.mark.parametrize(
    "overrides, says",
    [
        (["swep=tpe"], "swep=tpe: there is no key swep; did you mean sweep"),
        (["sweeps.trials=3"], "sweeps.trials=3: there is no key sweeps; did you mean sweep"),
        (["seed"], "seed: is not of the form key=value"),
        (["seed=0,1", "seed=2"], "seed=2: sets seed a second time"),
        (["root=a,b"], "root=a,b: is the same for every run of a sweep; fix: give one value"),
        (["resume=auto,never"], "resume=auto,never: is the same for every run of a sweep"),
        (["trainer.max_steps=4,8"], "trainer.max_steps=4,8: does not change the result: every value would train"),
        (["data.num_workers=0,1"], "data.num_workers=0,1: does not change the result: every value"),
        (["logger=csv,wandb"], "logger=csv,wandb: does not change the result: every value"),
        (["logger.group=a,b"], "logger.group=a,b: does not change the result: every value"),
        (["seed=shuffle(1,2)"], "seed=shuffle(1,2): the same overrides must name the same runs; fix: remove shuffle"),
        (["seed=range(3,1)"], "seed=range(3,1): has no value"),
        (["seed=range(1000000000000)"], "has 1,000,000,000,000 values; allowed: at most 100,000 jobs a sweep"),
        (["task.dropout=range(0,1,1e-12)"], "has 1,000,000,000,000 values; allowed: at most 100,000"),
        (["seed=range(1,3,0)"], "seed=range(1,3,0): "),
        (["data=glob(nothing*)"], "data=glob(nothing*): has no value"),
        (["task.dropout=interval(1,0)"], "task.dropout=interval(1,0): allowed: interval(low,high)"),
        (["task.dropout=tag(log,interval(0,1))"], "allowed with log: numbers above 0"),
        (["task.dropout=tag(quick,interval(0,1))"], "tag quick: allowed: log"),
        (["seed=tag(log,range(1,9,2))"], "allowed with log: range(start,stop) in steps of 1"),
        (["hydra.verbose=true"], "hydra.verbose=true: Hydra's own keys have no effect here"),
        (["seed=(1"], "seed=(1: cannot be read"),
    ],
)
def test_wrong_overrides_are_reported(overrides, says):
    with pytest.raises(UserError) as error:
        read_overrides(overrides)
    assert says in str(error.value) and len(str(error.value).splitlines()) == 1
