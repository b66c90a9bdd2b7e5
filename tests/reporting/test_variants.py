"""Test that runs differing only in seed are grouped, with means over completed runs and the best variant first."""

import re
import statistics

import pytest

from lightning_dl2.common.statistics import MeanStd
from lightning_dl2.reporting.learning_curves import alone, shown_metrics
from lightning_dl2.reporting.records import find
from lightning_dl2.reporting.tables import columns
from lightning_dl2.reporting.variants import experiments
from tests.reporting.made_up import made_up_by_others, made_up_run


def test_mean_and_deviation_are_those_of_the_values(tmp_path):
    accuracies = [0.7, 0.9, 0.8]
    for seed, accuracy in enumerate(accuracies):
        made_up_run(tmp_path, seed=seed, accuracy=accuracy)
    ((variant,),) = [experiment.variants for experiment in experiments(find([tmp_path]))]
    spread = MeanStd.of(record.metrics["test/accuracy"] for record in variant.completed)
    assert spread == MeanStd(pytest.approx(0.8), pytest.approx(statistics.stdev(accuracies)), 3)
    assert [record.seed for record in variant.records] == [0, 1, 2]


def test_only_what_is_learnt_makes_a_variant(tmp_path):
    made_up_run(tmp_path / "a")
    made_up_run(tmp_path / "b", "trainer.max_steps=999", "logger=wandb", seed=1)
    made_up_run(tmp_path / "c", "task.hidden_size=7")
    (experiment,) = experiments(find([tmp_path]))
    assert sorted(len(variant.records) for variant in experiment.variants) == [1, 2]
    assert {variant.label for variant in experiment.variants} == {"hidden_size=7", "hidden_size=128"}


@pytest.mark.slow
def test_seeds_of_an_older_version_are_seeds_of_the_same_variant(tmp_path):
    """A run of an older version belongs to the variant that has the defaults for its missing keys."""
    for seed in (0, 1):
        file = made_up_run(tmp_path, "experiment=graph", seed=seed) / "config.yaml"
        if not seed:
            lines = file.read_text().splitlines(True)
            older = [line for line in lines if not line.strip().startswith(("class_weights:", "evaluation_chunk:"))]
            assert len(older) == len(lines) - 2
            file.write_text("".join(older))
    ((variant,),) = [experiment.variants for experiment in experiments(find([tmp_path]))]
    assert len(variant.records) == 2


def test_labels_tell_variants_apart(tmp_path):
    made_up_run(tmp_path, "task.cell=gru", "task.dropout=0.1")
    made_up_run(tmp_path, "task.cell=gru", "task.dropout=0.2")
    made_up_run(tmp_path, "task.cell=rnn", "task.dropout=0.1")
    (experiment,) = experiments(find([tmp_path]))
    labels = {variant.label for variant in experiment.variants}
    assert labels == {"cell=gru dropout=0.1", "cell=gru dropout=0.2", "cell=rnn dropout=0.1"}


@pytest.mark.slow
def test_keys_of_the_same_last_name_are_told_in_full(tmp_path):
    made_up_run(tmp_path, "experiment=text", "data=tiny_shakespeare")
    stalls = ("callbacks.early_stopping.enabled=true", "callbacks.early_stopping.patience=7")
    made_up_run(tmp_path, "experiment=text", *stalls)
    plateau = ("name=plateau", "warmup_steps=0", "decay=0.5", "patience=9")
    made_up_run(tmp_path, "experiment=text", *(f"optimizer.schedule.{word}" for word in plateau))
    (experiment,) = experiments(find([tmp_path]))
    told = " ".join(variant.label for variant in experiment.variants)
    assert "data.name=tiny_shakespeare" in told and "schedule.name=plateau" in told
    assert "callbacks.early_stopping.patience=7" in told and "optimizer.schedule.patience=9" in told


@pytest.mark.parametrize(("words", "first"), [((), 0.1), (("callbacks.checkpoint.monitor=val/accuracy",), 0.1)])
def test_the_best_stands_first(words, first, tmp_path):
    if words:
        words = (*words, "callbacks.checkpoint.mode=max")
    for size, loss in ((4, 0.3), (5, 0.1), (6, 0.2)):
        made_up_run(tmp_path, *words, f"task.hidden_size={size}", losses=(2.0, loss))
    (experiment,) = experiments(find([tmp_path]))
    assert [variant.label for variant in experiment.variants] == ["hidden_size=5", "hidden_size=6", "hidden_size=4"]
    record = experiment.best_record(experiment.variants[0])
    assert experiment.best(record) == pytest.approx(first if not words else 1 / 1.1)


def test_best_and_last_are_of_the_way(tmp_path):
    made_up_run(tmp_path, losses=(2.0, 0.5, 0.7))
    (experiment,) = experiments(find([tmp_path]))
    (record,) = experiment.variants[0].records
    assert (experiment.best(record), experiment.last(record)) == (0.5, 0.7)


def test_means_are_over_completed_runs_alone(tmp_path):
    made_up_run(tmp_path, losses=(0.5,))
    made_up_run(tmp_path, seed=1, losses=(9.0,), status="failed", error="NonFiniteError")
    made_up_run(tmp_path, seed=2, losses=(9.0,), status=None)
    (experiment,) = experiments(find([tmp_path]))
    (variant,) = experiment.variants
    assert variant.runs == "1 + 1 interrupted + 1 failed"
    assert MeanStd.of(map(experiment.best, variant.completed)) == MeanStd(0.5, None, 1)


def test_of_the_same_run_twice_the_complete_one_counts(tmp_path):
    half, whole = made_up_run(tmp_path / "a", status=None), made_up_run(tmp_path / "b")
    found = find([tmp_path])
    (experiment,) = experiments(found)
    assert [record.path for record in experiment.variants[0].records] == [whole]
    assert found.skipped == [(half, f"is the same run as {whole}")]


@pytest.mark.slow
def test_folds_count_as_seeds_on_request(tmp_path):
    for fold in range(3):
        for seed in range(2):
            made_up_run(tmp_path, "experiment=mutag", f"data.fold={fold}", seed=seed)
    assert len(experiments(find([tmp_path]))[0].variants) == 3
    (variant,) = experiments(find([tmp_path]), ["data.fold"])[0].variants
    assert len(variant.records) == 6 and variant.label == "mean over data.fold"


@pytest.mark.slow
def test_files_of_the_same_name_are_told_apart(tmp_path):
    for directory in "ab":
        made_up_run(tmp_path, "experiment=text", "data=text", f"data.path=/data/{directory}/corpus.txt")
    (experiment,) = experiments(find([tmp_path]))
    assert {variant.label for variant in experiment.variants} == {"path=/data/a/corpus.txt", "path=/data/b/corpus.txt"}


def test_a_run_without_a_validation_has_metrics_of_its_own_and_is_not_to_be_beaten(tmp_path):
    result = made_up_run(tmp_path) / "result.json"
    result.write_text(re.sub(r'"val/[a-z]+": [\d.]+, ', "", result.read_text()))
    assert '"val/' not in result.read_text()
    (experiment,) = experiments(find([tmp_path]))
    assert experiment.metrics == ["test/loss", "test/accuracy"]
    assert experiment.references == ["test/majority_baseline"]


@pytest.mark.parametrize("name", ["bpc_gzip", "bits_per_byte_xz_primed", "counts_baseline", "bpc_bz2"])
def test_programs_and_simple_models_are_references(name, tmp_path):
    result = made_up_run(tmp_path) / "result.json"
    result.write_text(result.read_text().replace("majority_baseline", name))
    (experiment,) = experiments(find([tmp_path]))
    assert experiment.references == [f"test/{name}"]


def test_what_no_net_has_part_in_is_a_reference(tmp_path):
    made_up_run(tmp_path)
    (experiment,) = experiments(find([tmp_path]))
    assert experiment.metrics == ["test/loss", "test/accuracy"]
    assert experiment.references == ["test/majority_baseline"]


@pytest.mark.parametrize(("mode", "seed"), [("max", 2), ("min", 2)])
def test_the_best_run_is_one_that_has_completed(mode, seed, tmp_path):
    monitor = {"max": "val/accuracy", "min": "val/loss"}[mode]
    words = (f"callbacks.checkpoint.monitor={monitor}", f"callbacks.checkpoint.mode={mode}")
    made_up_run(tmp_path, *words, losses=(0.01,), status="failed", error="NonFiniteError")
    for number, loss in ((1, 0.5), (2, 0.4)):
        made_up_run(tmp_path, *words, seed=number, losses=(loss,))
    made_up_run(tmp_path, *words, seed=3, losses=(9.0,), status=None)
    (experiment,) = experiments(find([tmp_path]))
    assert experiment.best_record(experiment.variants[0]).seed == seed


def test_of_the_same_run_twice_interrupted_the_longer_one_counts(tmp_path):
    short = made_up_run(tmp_path / "a", losses=(2.0,), status="interrupted")
    long = made_up_run(tmp_path / "b", losses=(2.0, 1.0, 0.5), status="interrupted")
    found = find([tmp_path])
    (experiment,) = experiments(found)
    assert [record.path for record in experiment.variants[0].records] == [long]
    assert found.skipped == [(short, f"is the same run as {long}")]


@pytest.mark.slow
def test_a_report_shows_the_metrics_of_unknown_code_by_their_own_names(tmp_path):
    """Names of any style are told apart by their split, and nothing of the run's code is imported."""
    for seed in (0, 1):
        made_up_by_others(tmp_path, seed)
    (found,) = experiments(find([tmp_path]))
    assert (found.monitor, found.mode, found.metrics) == ("valid/f1", "max", ["test_f1", "test/accuracy"])
    assert found.references == [] and [found.best(run) for run in found.records] == [0.75, 0.75]
    headings = [column.heading for column in columns(found)]
    assert headings[:3] == ["runs", "test_f1", "test/accuracy"] and "best valid/f1" in headings
    assert shown_metrics(found) == ["f1", "loss"]
    assert found.records[0].curve("loss", "train") == {10: 3.0, 20: 2.0}
    assert "training" in alone(found, found.variants[0], "loss")


@pytest.mark.parametrize(("monitor", "headings"), [(None, []), ("accuracy", ["best accuracy", "last accuracy"])])
def test_a_monitor_may_be_none_or_name_no_split(tmp_path, monitor, headings):
    made_up_by_others(tmp_path, monitor=monitor)
    (found,) = experiments(find([tmp_path]))
    assert [column.heading for column in columns(found) if column.heading.startswith(("best", "last"))] == headings
    assert ("accuracy" in shown_metrics(found)) == bool(monitor)
    assert bool(found.records[0].curve("accuracy", "val")) == bool(monitor)
