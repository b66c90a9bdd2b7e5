"""Words become a valid configuration, or one line that says what is wrong."""

import pytest

from lightning_dl2.cli import UserError
from lightning_dl2.config import choices, compose, conf_dir, config_hash, flatten, identity, validate
from lightning_dl2.schema import Samples

EXPERIMENTS = sorted(
    str(path.relative_to(conf_dir() / "experiment").with_suffix(""))
    for path in (conf_dir() / "experiment").rglob("*.yaml")
)

# What is typed, and what the line must say: the key with its value, and what is allowed.
WRONG = {
    "data.sequenc_length=3": ["data.sequenc_length=3", "did you mean sequence_length?", "batch_size"],
    "dat=foo": ["dat=foo", "did you mean data?"],
    "+foo.bar=3": ["foo", "there is no key foo", "optimizer"],
    "experiment=palindrom": ["experiment=palindrom", "did you mean palindrome", "baum_sweet"],
    "experiment=": ["experiment=", "baum_sweet"],
    "experiment=null": ["experiment=null", "experiment=NAME", "baum_sweet"],
    "experiment=[palindrome,baum_sweet]": ["experiment=[palindrome,baum_sweet]", "experiment=NAME"],
    "~experiment": ["~experiment", "experiment=NAME"],
    "data=foo": ["data=foo", "decimal_palindrome"],
    "data=": ["data=", "decimal_palindrome"],
    "debug=foo": ["debug=foo", "fast, none, overfit, profile"],
    "data.batch_size=abc": ['data.batch_size="abc"', "integer"],
    "data.batch_size=é": ["data.batch_size=é", "quotes"],
    "data.batch_size='é'": ['data.batch_size="é"', "integer"],
    "data.batch_size='3'": ['data.batch_size="3"', "integer"],
    "data.batch_size=1.5": ["data.batch_size=1.5", "integer"],
    "data.batch_size=true": ["data.batch_size=true", "integer"],
    "data.batch_size=": ['data.batch_size=""', "integer"],
    "data.batch_size=null": ["data.batch_size=null", "integer"],
    "data.batch_size=0": ["data.batch_size=0", "greater than or equal to 1"],
    "+data.batch_size=4": ["+data.batch_size=4", "write data.batch_size=4"],
    "~data.batch_size": ["data.batch_size", "is missing"],
    "data.sequence_length=1": ["data.sequence_length=1", "2 or more"],
    "data.curriculum=3": ["data.curriculum=3", "a group of keys"],
    "data.name=palindrome": ['data.name="palindrome"', "'decimal_palindrome'", "'python_docs'"],
    "data=python_docs": ["task=sequence_classifier", "data=python_docs: task=text_generator"],
    "task=text_generator": ["task=text_generator", "data=decimal_palindrome: task=sequence_classifier"],
    "callbacks.samples.enabled=true": ["callbacks.samples.enabled=true", "text_generator"],
    "callbacks.checkpoint.monitor=val/loss_cold": ["monitor=val/loss_cold", "val/loss, val/accuracy"],
    "experiment=text data.curriculum=1": ["data.curriculum=1", "there is no key data.curriculum", "sequence_length"],
    "experiment=text data.batch_siz=1": ["data.batch_siz=1", "did you mean batch_size", "evaluation_warmup"],
    "experiment=text data.validation_fraction=1": ["data.validation_fraction=1", "less than 1"],
    "experiment=text data.test_fraction=0.95": ["data.validation_fraction=0.1", "test_fraction=0.95", "below 1"],
    "experiment=text task.cell=bilstm": ['task.cell="bilstm"', "'lstm'"],
    "experiment=text task.tie_weights=true task.projection_size=9": ["task.embedding_size=64", "9"],
    "experiment=text callbacks.weight_averaging.decay=1": ["weight_averaging.decay=1", "less than 1"],
    "task.hidden_size=-1": ["task.hidden_size=-1", "greater than or equal to 1"],
    "task.cell=lst": ['task.cell="lst"', "'lstm'", "'gru'"],
    "task.forget_bias=abc": ['task.forget_bias="abc"', "number", "'chrono'"],
    "task.forget_bias=nan": ["task.forget_bias=NaN", "finite"],
    "task.bias=false": ["task.forget_bias=chrono", "task.bias=true", "null"],
    "task.hidden_size=${nothing}": ["task.hidden_size", "nothing"],
    "optimizer.learning_rate=nan": ["optimizer.learning_rate=NaN", "finite"],
    "optimizer.learning_rate=-inf": ["optimizer.learning_rate=-Infinity", "finite"],
    "optimizer.arguments.eps=1e-6": ["write +optimizer.arguments.eps=1e-6"],
    "+optimizer.arguments.lr=1": ["optimizer.arguments.lr=1", "allowed: optimizer.learning_rate=1"],
    "optimizer.schedule.name=cosine": ["optimizer.schedule.total_steps=null", "cosine"],
    "trainer.max_time=5m": ['trainer.max_time="5m"', "DD:HH:MM:SS"],
    "trainer.max_steps=0": ["trainer.max_steps=0", "1 or more"],
    "trainer.max_steps=-1": ["trainer.max_steps=-1", "max_epochs"],
    "trainer.precision=16": ["trainer.precision=16", "'bf16-mixed'"],
    "callbacks.checkpoint.monitor=val/accuracy callbacks.checkpoint.mode=min": ["checkpoint.mode=min", "max"],
    "callbacks.early_stopping.mode=max": ["callbacks.early_stopping.mode=max: allowed with monitor=val/loss: min"],
    "resume=maybe": ['resume="maybe"', "'auto', 'never' or 'restart'"],
    "root=": ['root=""'],
    "seed=-1": ["seed=-1", "greater than or equal to 0"],
    "seed=1,2": ["seed=1,2", "one value"],
    "seed=range(1,3)": ["seed=range(1,3)", "one value"],
    "seed": ["seed", "key=value"],
    "a=b=c": ["a=b=c", "\"a='b=c'\""],
    "=3": ["=3", "key=value"],
    "--multirun": ["--multirun", "key=value"],
    "hydra.run.dir=x": ["hydra.run.dir=x", "no effect"],
}


@pytest.mark.parametrize("word", WRONG)
def test_wrong_word_is_told(word):
    with pytest.raises(UserError) as error:
        compose(*word.split(" "))
    for part in WRONG[word]:
        assert part in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiment_is_its_own_default(experiment):
    config = compose(f"experiment={experiment}")
    assert config.experiment == experiment
    assert choices(config) == {}
    assert validate(config.model_dump()) == config  # as it comes back from config.yaml


def test_quotes_carry_any_value():
    assert compose("root='/data/Größe=1, 2'").root == "/data/Größe=1, 2"


def test_choices_are_what_differs():
    assert choices(compose("task.hidden_size=64", "task.cell=lstm")) == {"task.hidden_size": 64}
    assert choices(compose("debug=fast")) == {"debug": "fast"}
    assert choices(compose("debug=fast", "data.batch_size=4")) == {"data.batch_size": 4, "debug": "fast"}
    assert choices(compose("+optimizer.arguments.eps=1e-6")) == {"optimizer.arguments.eps": 1e-6}
    assert choices(compose("optimizer=sgd")) == {"optimizer.name": "SGD"}


@pytest.mark.parametrize(
    "word",
    [
        "root=elsewhere",
        "resume=never",
        "logger=wandb",
        "logger.tags=[a]",
        "callbacks.progress_bar=false",
        "callbacks.curves=false",
        "callbacks.checkpoint.every_n_steps=7",
        "trainer.max_steps=7",
        "trainer.max_epochs=7",
        "trainer.max_time='00:01:00:00'",
        "trainer.profiler=simple",
    ],
)
def test_same_run(word):
    assert config_hash(compose(word)) == config_hash(compose())


def test_every_other_key_makes_another_run():
    """Changes each leaf in turn; what is not on the short list above must change the hash."""
    config = compose()
    same = {"root", "resume", "callbacks.progress_bar", "callbacks.curves", "callbacks.checkpoint.every_n_steps"}
    same |= {f"callbacks.samples.{key}" for key in Samples.model_fields}
    same |= {f"trainer.{key}" for key in ("max_steps", "max_epochs", "max_time", "profiler")}
    values = flatten(config.model_dump())
    assert set(values) - set(identity(config)) - {"optimizer.arguments"} == same | {"seed"} | {
        key for key in values if key.startswith("logger.")
    }
    assert config_hash(compose("seed=1")) != config_hash(config)


def test_hash_of_the_default_stands():
    """A change moves every run directory in the world. If it is meant, write the new value here."""
    import json
    from hashlib import sha256

    from lightning_dl2.config import digest

    assert digest({"b": [1, None], "a": "x"}) == sha256(json.dumps({"a": "x", "b": [1, None]}).encode()).hexdigest()[:8]
    assert digest({}) == "44136fa3"
