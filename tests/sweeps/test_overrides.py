"""Words are read by Hydra's grammar, or one line says what is wrong."""

import pytest

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.conf_files import options
from lightning_dl2.sweeps.overrides import Span, Swept, read


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
    assert read([word]).parts == (Swept(key, values, span),)


def test_glob_knows_every_option():
    assert read(["trainer=glob(*)"]).swept[0].values == tuple(options("trainer"))


def test_sorted_into_own_and_the_runs():
    words = read(["seed=0,1", "sweep=grid", "task.cell=gru", "launcher.jobs=2", "data.path='a,b'", "dry=true"])
    assert words.own == ("sweep=grid", "launcher.jobs=2", "dry=true")
    assert [str(part) for part in words.parts] == ["seed=0,1", "task.cell=gru", "data.path='a,b'"]
    assert words.filled({"seed": "1"}) == ["seed=1", "task.cell=gru", "data.path='a,b'"]


@pytest.mark.parametrize(
    "words, says",
    [
        (["swep=tpe"], "swep=tpe: there is no key swep; did you mean sweep"),
        (["sweeps.trials=3"], "sweeps.trials=3: there is no key sweeps; did you mean sweep"),
        (["seed"], "seed: is not of the form key=value"),
        (["seed=0,1", "seed=2"], "seed=2: is the second word for seed"),
        (["root=a,b"], "root=a,b: allowed: one value"),
        (["resume=auto,never"], "resume=auto,never: allowed: one value"),
        (["trainer.max_steps=4,8"], "trainer.max_steps=4,8: makes no other run; allowed: one value"),
        (["data.num_workers=0,1"], "data.num_workers=0,1: makes no other run"),
        (["logger=csv,wandb"], "logger=csv,wandb: makes no other run"),
        (["logger.group=a,b"], "logger.group=a,b: makes no other run"),
        (["seed=shuffle(1,2)"], "seed=shuffle(1,2): allowed: without shuffle"),
        (["seed=range(3,1)"], "seed=range(3,1): names no value"),
        (["seed=range(1000000000000)"], "names 1,000,000,000,000 values; allowed: at most 100,000 jobs a sweep"),
        (["task.dropout=range(0,1,1e-12)"], "names 1,000,000,000,000 values; allowed: at most 100,000"),
        (["seed=range(1,3,0)"], "seed=range(1,3,0): "),
        (["data=glob(nothing*)"], "data=glob(nothing*): names no value"),
        (["task.dropout=interval(1,0)"], "task.dropout=interval(1,0): allowed: interval(low,high)"),
        (["task.dropout=tag(log,interval(0,1))"], "allowed with log: numbers above 0"),
        (["task.dropout=tag(quick,interval(0,1))"], "tag quick: allowed: log"),
        (["seed=tag(log,range(1,9,2))"], "allowed with log: range(start,stop) in steps of 1"),
        (["hydra.verbose=true"], "hydra.verbose=true: Hydra's own keys have no effect here"),
        (["seed=(1"], "seed=(1: cannot be read"),
    ],
)
def test_wrong_words_are_told(words, says):
    with pytest.raises(UserError) as error:
        read(words)
    assert says in str(error.value) and len(str(error.value).splitlines()) == 1
