"""Test that a configuration of an older version gets the newer keys without a change of its run."""

import pytest

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.compose import compose
from lightning_dl2.config.identity import identity
from lightning_dl2.config.older_runs import upgrade_config


def without(values, *path):
    """Return a run's configuration as a version without this key wrote it."""
    *parents, last = path
    for name in parents:
        values = values[name]
    del values[last]


@pytest.mark.slow
def test_an_optimizer_and_a_schedule_of_any_name_get_newer_keys():
    config = compose("optimizer.name=NAdam", "optimizer.schedule.name=plateau", "logger=wandb")
    old = config.model_dump()
    without(old, "optimizer", "schedule", "monitor")
    without(old, "optimizer", "weight_decay_of")
    without(old, "logger", "notes")
    restored, added = upgrade_config(old)
    assert restored == config and identity(restored) == identity(config)
    assert set(added) == {"optimizer.schedule.monitor", "optimizer.weight_decay_of", "logger.notes"}


@pytest.mark.slow
def test_a_run_of_an_older_version_gets_the_defaults_of_what_has_come_since():
    config = compose("experiment=cora_gat", "data=citeseer", "seed=3", "optimizer.learning_rate=0.5")
    old = config.model_dump()
    without(old, "data", "num_workers")
    without(old, "callbacks", "gradient_flow")
    without(old, "optimizer", "schedule", "warmup_steps")
    restored, added = upgrade_config(old)
    assert restored == config
    assert {"data.num_workers", "optimizer.schedule.warmup_steps", "callbacks.gradient_flow.enabled"} <= set(added)
    assert upgrade_config(config.model_dump()) == (config, {})


@pytest.mark.slow
def test_a_key_that_the_schema_fills_in_counts_as_added():
    """Otherwise the run, whose hash is of fewer keys, would not count as an older one, and would train again."""
    config = compose("experiment=course/palindrome")
    old = config.model_dump()
    without(old, "data", "training_size")
    assert upgrade_config(old) == (config, {"data.training_size": None})


@pytest.mark.slow
def test_what_was_always_so_before_there_was_a_key_is_not_its_default():
    config = compose("experiment=baum_sweet")
    old = config.model_dump()
    del old["trainer"]["flush_denormal"]
    restored, added = upgrade_config(old)
    assert config.trainer.flush_denormal and added == {"trainer.flush_denormal": False}
    assert restored.trainer == config.trainer.model_copy(update={"flush_denormal": False})
    assert identity(restored) == identity(config)  # so the original command finds the run


@pytest.mark.slow
def test_what_the_experiment_sets_today_is_not_what_an_older_run_did():
    old = compose("experiment=tiny_shakespeare").model_dump()
    assert old["task"]["ensemble_size"] == 3
    without(old, "task", "ensemble_size")
    for experiment in ("tiny_shakespeare", "no_more"):
        restored, added = upgrade_config(old | {"experiment": experiment})
        assert restored.task.ensemble_size == 1 and added == {"task.ensemble_size": 1}


@pytest.mark.slow
def test_nothing_is_put_into_a_group_of_the_users_own_keys():
    old = compose("experiment=cora_gcnii").model_dump()
    assert old["optimizer"]["weight_decay_of"]  # a default that this run lacks
    old["optimizer"]["weight_decay_of"] = {}
    without(old, "data", "num_workers")
    restored, added = upgrade_config(old)
    assert restored.optimizer.weight_decay_of == {} and list(added) == ["data.num_workers"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda old: old.update(no_key_any_more=1), "no_key_any_more"),
        (lambda old: old["task"].update(name="a_task_no_more"), "a_task_no_more"),
        (lambda old: old["data"].update(batch_size="many"), 'data.batch_size="many"'),
        (lambda old: (old["data"].update(name="data_no_more"), old["data"].pop("batch_size")), "data_no_more"),
    ],
)
def test_what_cannot_be_restored_is_named(spoil, says):
    old = compose().model_dump()
    spoil(old)
    with pytest.raises(UserError, match=says):
        upgrade_config(old)
