"""Test that sizes beyond any machine are refused in one line at once."""

import pytest

from lightning_dl2 import compose
from lightning_dl2.common.arguments import parse
from lightning_dl2.common.errors import UserError
from lightning_dl2.inference.generate_arguments import GenerateArguments
from lightning_dl2.train import main
from lightning_dl2.training import limits
from tests.config.test_compose import ONE_OF_EACH

BEYOND = {
    "data.batch_size=2147483648": "data.batch_size=2147483648: allowed: less than or equal to 2147483647",
    "task.num_layers=1000000000": "task.num_layers=1000000000: allowed: less than or equal to 10000",
    "data.num_workers=100000": "data.num_workers=100000: allowed: less than or equal to 256",
    "experiment=text task.ensemble_size=1000000": "task.ensemble_size=1000000: allowed: less than or equal to 1000",
    "experiment=text callbacks.samples.num_greedy=1000000000": "callbacks.samples.num_greedy=1000000000: allowed: less",
    "experiment=csl data.positional.size=1000000000": "data.positional.size=1000000000: allowed: less than or equal",
    "trainer.max_steps=10000000000000000000000": "trainer.max_steps=10000000000000000000000: allowed: less than",
    "data.batch_size=2147483647": "data.batch_size=2147483647, data.sequence_length=21, .*: a training batch would",
    "data.sequence_length=2000000000": "data.validation_size=4096, .*: the validation and test sets would take",
    "data.validation_size=2000000000": "data.validation_size=2000000000, data.test_size=4096, .* sets would take",
    "task.hidden_size=200000": "task.hidden_size=200000, task.num_layers=1, .*: a net of .* parameters",
    "experiment=text task.embedding_size=2000000000": "task.hidden_size=256, .*embedding_size=2000000000, .*: a net",
    "experiment=graph data.block_model.num_nodes=2000000000": "data.block_model.num_nodes=2000000000, .*: the graph",
    "experiment=mutag data=minigc data.max_nodes=2000000": "data.num_graphs=800, .*: the graphs would take",
    "experiment=graph task.hidden_size=2000000 task.num_layers=3": "task.hidden_size=2000000, .*: a net of .*",
}


@pytest.mark.parametrize("words", BEYOND)
def test_what_does_not_fit_is_one_line(words, monkeypatch):
    monkeypatch.setattr(limits, "machine_memory", lambda: 64 * 2**30)
    with pytest.raises(UserError, match=f"^{BEYOND[words]}") as told:
        config = compose(*words.split())
        limits.check_data(config, on_gpu=False)
        limits.check_net(config, {"vocabulary_size": 99, "num_tokens": {"val": 50_000}, "in_feats": 32}, on_gpu=False)
    assert "\n" not in str(told.value)


def test_the_command_asks_before_it_begins(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(limits, "machine_memory", lambda: 10**7)
    for word, says in (("data.batch_size=99999", "a training batch"), ("task.hidden_size=512", "a net of")):
        words = ["data.validation_size=9", "data.test_size=9", "data.batch_size=9", f"root={tmp_path}/runs", word]
        assert main(words) == 2
        assert says in capsys.readouterr().err and not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ONE_OF_EACH)
def test_what_fits_is_taken(experiment, monkeypatch):
    """The shipped experiments on a small laptop stay far below the limits."""
    monkeypatch.setattr(limits, "machine_memory", lambda: 4 * 2**30)
    config = compose(f"experiment={experiment}")
    limits.check_data(config, on_gpu=False)
    spec = {"vocabulary_size": 99, "num_tokens": {"val": 110_000}, "in_feats": 1433, "sizes": {"train": 9000}}
    limits.check_net(config, spec | {"sequence_length": 99}, on_gpu=False)


def test_this_machine_has_memory():
    assert 2**28 < limits.machine_memory() < 2**50


@pytest.mark.parametrize("word", ["num_beams=1000000", f"length={'9' * 5000}", "length=10000000000"])
def test_generate_has_limits(word):
    with pytest.raises(UserError, match=f"^{word.partition('=')[0]}=.*: allowed: "):
        parse(GenerateArguments, ["run=x", word])
