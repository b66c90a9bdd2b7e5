"""Test which keys make another run."""

import json
from hashlib import sha256

import pytest

from lightning_dl2.config.compose import compose
from lightning_dl2.config.identity import changed_choices, config_hash, digest, identity, to_overrides
from lightning_dl2.config.overrides import flatten
from lightning_dl2.config.schema import Samples
from lightning_dl2.config.schema.callbacks import GradientFlow


@pytest.mark.slow
def test_choices_are_what_differs():
    assert changed_choices(compose("task.hidden_size=64", "task.cell=lstm")) == {"task.hidden_size": 64}
    assert changed_choices(compose("debug=fast")) == {"debug": "fast"}
    assert changed_choices(compose("debug=fast", "data.batch_size=4")) == {"data.batch_size": 4, "debug": "fast"}
    assert changed_choices(compose("+optimizer.arguments.eps=1e-6")) == {"optimizer.arguments.eps": 1e-6}
    assert changed_choices(compose("optimizer=sgd")) == {"optimizer.name": "SGD"}
    assert changed_choices(compose("experiment=cora_gcnii", "optimizer.weight_decay_of.layers=1")) == {
        "optimizer.weight_decay_of.layers": 1
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("experiment=cora_gcnii", "optimizer.weight_decay_of.layers=0.5", "+optimizer.weight_decay_of.output=0.25"),
        ("experiment=graph", "data.fanouts=[5,5]", "data.positional={kind:random_walk,size:4}", "task.self_loops=true"),
        ("experiment=csl", "data=tu", "data.path='/some where/else'", "debug=fast", "seed=3"),
        ("experiment=text", "data=text", "data.path='2024'"),
        ("experiment=text", "data=text", "data.path='null'"),
        ("experiment=text", "data=text", "data.path='1e5'"),
    ],
)
def test_choices_can_be_typed_again(words):
    """New keys of the user begin with +, unless the experiment names them already."""
    config = compose(*words)
    assert compose(*to_overrides(config)) == config


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["it's", "'", "a\\", "a\\'b\\", "\\\\'", "\\'\\\\", "a\\b", '"', "${x}", "a\\${x}", "a,b", "[a]"]
)
def test_paths_can_be_typed_again(path):
    config = compose("experiment=text", "data=text", "data.path=x")
    config = config.model_copy(update={"data": config.data.model_copy(update={"path": path})})
    assert compose(*to_overrides(config)) == config


@pytest.mark.parametrize(
    "word",
    [
        "root=elsewhere",
        "resume=never",
        "logger=wandb logger.tags=[a]",
        "callbacks.progress_bar=false",
        "callbacks.curves=false",
        "callbacks.checkpoint.every_n_steps=7",
        "trainer.max_steps=7",
        "trainer.max_epochs=7",
        "trainer.max_time='00:01:00:00'",
        "trainer.profiler=simple",
        "trainer.detect_anomaly=true",
        "trainer.flush_denormal=false",
    ],
)
def test_same_run(word):
    assert config_hash(compose(*word.split())) == config_hash(compose())


def test_every_other_key_makes_another_run():
    """Every key that is not listed above changes the hash."""
    config = compose()
    same = {"root", "resume", "callbacks.progress_bar", "callbacks.curves", "callbacks.checkpoint.every_n_steps"}
    same |= {f"callbacks.samples.{key}" for key in Samples.model_fields}
    same |= {f"callbacks.gradient_flow.{key}" for key in GradientFlow.model_fields}
    same |= {"data.num_workers", "trainer.flush_denormal"}
    same |= {f"trainer.{key}" for key in ("max_steps", "max_epochs", "max_time", "profiler", "detect_anomaly")}
    values = flatten(config.model_dump())
    nothing = {
        "trainer.arguments",
        "optimizer.arguments",
        "optimizer.schedule.arguments",
        "optimizer.weight_decay_of",
    }  # empty unless the user names keys
    assert set(values) - set(identity(config)) - nothing == same | {"seed"} | {
        key for key in values if key.startswith("logger.")
    }
    assert config_hash(compose("seed=1")) != config_hash(config)


def test_hash_of_the_default_stands():
    """The hash of the default is fixed. A new value moves every existing run directory; change it only on purpose."""
    assert digest({"b": [1, None], "a": "x"}) == sha256(json.dumps({"a": "x", "b": [1, None]}).encode()).hexdigest()[:8]
    assert digest({}) == "44136fa3"
