"""Test each kind of target against definitions in numpy: losses, metrics, units, and what is predicted."""

import math
from dataclasses import replace

import networkx
import numpy as np
import pytest
import torch

from lightning_dl2 import GraphNet, GraphSetDataModule, NodeDataModule
from lightning_dl2.common.errors import UserError
from lightning_dl2.config.schema.targets import ALWAYS, METRICS
from lightning_dl2.tasks.graph_targets import KINDS
from lightning_dl2.tasks.metrics import ErrorOfTargets, F1Score, LabelAccuracy, RankingScore
from tests.small import small_graph_net, small_trainer

NAN = float("nan")


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def some_labels(rows: int = 40, columns: int = 3) -> torch.Tensor:
    """Return labels of 0, 1 and NaN; the last column has no 1."""
    labels = torch.randint(2, (rows, columns), generator=generator()).float()
    labels[torch.rand(rows, columns, generator=generator()) < 0.2] = NAN
    labels[:, -1] = torch.where(labels[:, -1].isnan(), NAN, 0.0)
    return labels


def some_scores(rows: int = 40, columns: int = 3) -> torch.Tensor:
    """Return logits with ties, some of them so large that their probabilities are 1 in float32."""
    return torch.randint(-3, 4, (rows, columns), generator=generator()) * torch.tensor(30.0)


def auc(scores: np.ndarray, ones: np.ndarray) -> float:
    """Count the pairs of a one and a zero in the right order; ties count half."""
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[ones] for b in scores[~ones]]
    return sum(pairs) / len(pairs)


def average_precision(scores: np.ndarray, ones: np.ndarray) -> float:
    """Sum (R_n - R_n-1) P_n over the distinct thresholds, from the highest."""
    total, recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = scores >= threshold
        now = (chosen & ones).sum() / ones.sum()
        total, recall = total + (now - recall) * (chosen & ones).sum() / chosen.sum(), now
    return total


def f1(decided: np.ndarray, ones: np.ndarray) -> float:
    return 2 * (decided & ones).sum() / (decided.sum() + ones.sum())


def measured(metric, outputs: torch.Tensor, targets: torch.Tensor) -> float:
    """Update by three batches of unequal sizes."""
    for part in torch.arange(len(targets)).split(17):
        metric.update(outputs[part], targets[part])
    return metric.compute().item()


@pytest.mark.parametrize(("score", "oracle"), [("auc", auc), ("average_precision", average_precision)])
def test_ranking_scores_are_their_definitions(score, oracle):
    labels, logits = some_labels(), some_scores()
    expected = []
    for column in range(2):  # the third column has no 1, and does not count
        known = ~labels[:, column].isnan()
        expected.append(oracle(logits[known, column].numpy(), labels[known, column].numpy() > 0.5))
    assert measured(RankingScore(score), logits, labels) == pytest.approx(np.mean(expected))
    classes, many = torch.randint(4, (40,), generator=generator()), torch.randn(40, 4, generator=generator())
    shares = many.double().softmax(1).numpy()
    each = [oracle(shares[:, number], classes.numpy() == number) for number in range(4)]
    assert measured(RankingScore(score), many, classes) == pytest.approx(np.mean(each))
    two = (classes > 1).long()
    second = oracle((many[:, 1] - many[:, 0]).numpy(), two.numpy() == 1)
    assert measured(RankingScore(score), many[:, :2], two) == pytest.approx(second)
    assert math.isnan(measured(RankingScore(score), many[:, :2], torch.ones(40).long()))
    assert math.isnan(measured(RankingScore(score), many[:, :2] * NAN, two))


def test_f1_and_accuracy_of_labels_are_their_definitions():
    labels, logits = some_labels(columns=4), some_scores(columns=4)
    logits[:, 3], known = -1.0, ~labels.isnan().numpy()  # neither predicted nor present: left out
    ones, decided = labels.numpy() > 0.5, logits.numpy() > 0
    each = [f1(decided[known[:, c], c], ones[known[:, c], c]) for c in range(3)]
    assert measured(F1Score(4, "macro"), logits, labels) == pytest.approx(np.mean(each))
    assert measured(F1Score(4, "micro"), logits, labels) == pytest.approx(f1(decided[known], ones[known]))
    assert measured(LabelAccuracy(4), logits, labels) == pytest.approx((decided == ones)[known].mean())


def test_f1_of_classes_is_its_definition():
    classes, logits = torch.randint(3, (40,), generator=generator()), torch.randn(40, 5, generator=generator())
    logits[:, 4], guesses = -9.0, logits.argmax(1)
    guesses = logits.argmax(1).numpy()
    each = [f1(guesses == number, classes.numpy() == number) for number in range(4)]  # class 3 is predicted only
    assert (guesses == 3).any() and each[3] == 0
    assert measured(F1Score(5, "macro"), logits, classes) == pytest.approx(np.mean(each))
    assert measured(F1Score(5, "micro"), logits, classes) == pytest.approx((guesses == classes.numpy()).mean())


@pytest.mark.parametrize("far", [0.0, 1e5])
def test_errors_of_targets_are_their_definitions(far):
    wanted = torch.randn(40, 3, generator=generator(), dtype=torch.float64) + far
    answers = wanted + torch.randn(40, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    wanted[torch.rand(40, 3, generator=generator()) < 0.2] = NAN
    wanted[:, 2] = NAN  # a target that this split does not know
    columns = [(answers[k, c].numpy(), wanted[k, c].numpy()) for c in range(2) for k in [~wanted[:, c].isnan()]]
    expected = {
        "mean_absolute_error": np.mean([np.abs(a - w).mean() for a, w in columns]),
        "root_mean_squared_error": np.mean([np.sqrt(((a - w) ** 2).mean()) for a, w in columns]),
        "r2": np.mean([1 - ((a - w) ** 2).sum() / ((w - w.mean()) ** 2).sum() for a, w in columns]),
    }
    for name, value in expected.items():
        metric = ErrorOfTargets(name, 3, [far + 1, far - 1, 0.0])
        assert measured(metric, answers, wanted) == pytest.approx(value, rel=1e-9)
    assert math.isnan(measured(ErrorOfTargets("r2", 1), torch.zeros(5), torch.full((5,), 0.1)))


def test_each_kind_builds_the_metrics_that_the_schema_names():
    assert set(KINDS) == set(METRICS) == set(ALWAYS)
    for name, kind in KINDS.items():
        assert set(kind.builders) == set(METRICS[name]) and set(ALWAYS[name]) <= set(METRICS[name])


def ring(rows: int = 60) -> networkx.Graph:
    """Return a ring whose nodes have two features and, unless it is unknown, a target that depends on them."""
    graph = networkx.cycle_graph(rows)
    x = torch.randn(rows, 2, generator=generator())
    networkx.set_node_attributes(graph, {node: x[node].tolist() for node in range(rows)}, "feat")
    return graph


def numbers(rows: int = 60) -> torch.Tensor:
    x = torch.randn(rows, 2, generator=generator())
    wanted = torch.stack([1000 + 50 * x[:, 0], x[:, 1] - x[:, 0]], 1)
    wanted[::7, 0], wanted[3::5] = NAN, torch.tensor([NAN, NAN])
    return wanted


SPLIT = {"split": "random", "validation_size": 12, "test_size": 12, "linear_baseline": False}


def served(kind: str, **options) -> NodeDataModule:
    labels = numbers()
    if kind == "multilabel":
        labels = torch.where(labels.isnan(), NAN, (labels > torch.tensor([1000.0, 0.0])).float())
    names = ["income", "age"]
    return NodeDataModule.from_graph(ring(), labels=labels, target=kind, target_names=names, **SPLIT | options)


def test_an_item_whose_targets_are_all_unknown_is_in_no_split():
    data = served("regression")
    unknown = {*range(3, 60, 5)}
    assert {name: len(index) for name, index in data.splits.items()} == {"train": 24, "val": 12, "test": 12}
    assert not unknown & {*torch.cat([*data.splits.values()]).tolist()}
    assert {*data.items("rest").tolist()} == unknown
    spec, train = data.spec, data.labels[data.splits["train"]].double().numpy()
    assert (spec["target"], spec["num_outputs"], spec["target_names"]) == ("regression", 2, ["income", "age"])
    assert spec["target_mean"] == pytest.approx(np.nanmean(train, 0))
    assert spec["target_scale"] == pytest.approx(np.nanstd(train, 0)) and spec["standardize_targets"]
    test = data.labels[data.splits["test"]].double().numpy()
    constants = data.baselines()
    assert constants["mean_baseline"] == pytest.approx(
        np.sqrt(np.nanmean((test - np.nanmean(train, 0)) ** 2, 0)).mean()
    )
    assert set(constants) == {"mean_baseline", "median_baseline"}


@pytest.mark.parametrize("kind", ["regression", "multilabel"])
def test_where_all_targets_are_known_the_loss_has_the_bits_of_the_known_ones(kind):
    data = served(kind)
    batch = data.train_batch(0)
    assert not batch.all_known
    data.labels = torch.where(data.labels.isnan(), 1.0, data.labels)
    assert data.train_batch(0).all_known
    task = small_graph_net(data, class_weights="balanced" if kind == "multilabel" else "none")
    batch, outputs = data.train_batch(0), []
    for known in (True, False):
        task.zero_grad()
        found = task.training_step(replace(batch, all_known=known), 0)
        found["loss"].backward()
        outputs.append([*found.values(), *(p.grad for p in task.parameters())])
    assert all(map(torch.equal, *outputs))


@pytest.mark.parametrize("loss", ["l1", "mse", "huber"])
@pytest.mark.parametrize("standardize", [None, False])
def test_the_loss_of_numbers_is_over_the_known_ones(loss, standardize):
    data = served("regression")
    task = small_graph_net(data, loss=loss, standardize_targets=standardize)
    batch = data.train_batch(0)
    with torch.no_grad():
        found, outputs, (_, _, predicted) = task.training_step(batch, 0), task(batch), task.predict_step(batch, 0)
    outputs = outputs.double().numpy()
    wanted = batch.targets.double().numpy()
    mean, scale = (np.array(data.spec[f"target_{part}"]) for part in ("mean", "scale"))
    answers = outputs if standardize is False else mean + scale * outputs
    missed = np.abs(outputs - (wanted if standardize is False else (wanted - mean) / scale))
    missed = missed[~np.isnan(missed)]
    of = {"l1": missed, "mse": missed**2, "huber": np.where(missed < 1, missed**2 / 2, missed - 0.5)}
    assert found["loss"].item() == pytest.approx(of[loss].mean(), rel=1e-5)
    assert found["mean_absolute_error"].item() == pytest.approx(np.nanmean(np.abs(answers - wanted)), rel=1e-5)
    assert predicted.numpy() == pytest.approx(answers, rel=1e-5)


def test_the_loss_of_labels_is_over_the_known_ones_and_balances_each():
    data = served("multilabel")
    train = data.labels[data.splits["train"]].numpy()
    assert data.spec["label_shares"] == pytest.approx(np.nanmean(train, 0))
    batch = data.train_batch(0)
    task = small_graph_net(data)
    with torch.no_grad():
        found, shares = task.training_step(batch, 0), task(batch).double().sigmoid().numpy()
    known = ~np.isnan(train)
    losses = -np.log(np.where(train > 0.5, shares, 1 - shares))
    assert found["loss"].item() == pytest.approx(losses[known].mean(), rel=1e-5)
    assert found["accuracy"].item() == pytest.approx(((shares > 0.5) == (train > 0.5))[known].mean())
    with torch.no_grad():
        balanced = small_graph_net(data, class_weights="balanced").training_step(batch, 0)["loss"].item()
    ones = np.nanmean(train, 0)
    weights = np.where(train > 0.5, 0.5 / ones, 0.5 / (1 - ones))
    assert balanced == pytest.approx((losses * weights)[known].mean(), rel=1e-5) != found["loss"].item()
    test = data.labels[data.splits["test"]].numpy()
    most = [max(np.nanmean(test[:, c]), 1 - np.nanmean(test[:, c])) * (~np.isnan(test[:, c])).sum() for c in range(2)]
    assert data.baselines()["best_constant_baseline"] == pytest.approx(sum(most) / (~np.isnan(test)).sum())


@pytest.mark.slow
def test_numbers_of_nodes_are_learnt_in_their_own_units():
    extra = ["root_mean_squared_error", "r2"]
    data = served("regression", linear_baseline=True)
    rule = {"learning_rate": 0.03}
    task = small_graph_net(data, layer="mlp", num_layers=1, optimizer=rule, extra_metrics=extra, loss="mse")
    trainer = small_trainer(max_steps=150, limit_val_batches=0)
    trainer.fit(task, data)
    (found,) = trainer.test(task, data, verbose=False)
    assert found["test/r2"] > 0.99 and found["test/mean_absolute_error"] < 3 < found["test/median_baseline"]
    assert found["test/no_graph_baseline"] < 1  # the numbers are linear in the features
    names = {f"test/{name}" for name in ("loss", *METRICS["regression"], "median_baseline", "mean_baseline")}
    assert set(found) == {*names, "test/no_graph_baseline"}


@pytest.mark.parametrize("kind", ["regression", "multilabel"])
def test_several_targets_of_graphs(kind):
    graphs = [networkx.cycle_graph(3 + number % 5) for number in range(24)]
    wanted = torch.tensor([[float(number % 5), NAN if number % 4 else 1.0] for number in range(24)])
    wanted[5] = NAN
    if kind == "multilabel":
        wanted = torch.where(wanted.isnan(), NAN, (wanted > 1.5).float())
    data = GraphSetDataModule.from_graphs(graphs, wanted, target=kind, num_folds=3, batch_size=4, linear_baseline=False)
    assert 5 not in torch.cat([*data.splits.values()]) and data.target_names == ["0", "1"]
    task = small_graph_net(data, extra_metrics=["r2"] if kind == "regression" else ["auc"])
    small_trainer(max_steps=2).fit(task, data)
    whole = GraphSetDataModule.from_graphs(graphs, wanted, target=kind, num_folds=3, linear_baseline=False)
    data.evaluation_batch_size = 3  # weights are the numbers of known targets
    one, other = (small_trainer().test(task, each, verbose=False)[0] for each in (data, whole))
    assert len(data.evaluation_batches("test")) == 3 and one == pytest.approx(other, rel=1e-5, nan_ok=True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"labels": numbers()}, "labels: are floating numbers, and no classes; fix: target=regression"),
        ({"labels": numbers(), "target": "multilabel"}, "graph: a label of node 0 is"),
        ({"labels": numbers().nan_to_num().long()}, "labels: are [60, 2]; allowed: one class for each; fix: target="),
        ({"labels": ["a"] * 60, "target": "regression"}, "labels: are names; allowed with target=regression: numbers"),
        ({"labels": numbers(), "target": "number"}, "target=number: allowed: classification, regression, multilabel"),
        (
            {"labels": numbers(), "target": "regression", "target_names": ["a", "a"]},
            "target_names=a, a: allowed: a name for each of 2 targets, each once",
        ),
        (
            {"labels": numbers(), "target": "regression", "validation_size": 40},
            "data.validation_size=40: with 12 test nodes none of 48 with a target is left to train on; fix: lower",
        ),
    ],
)
def test_targets_that_cannot_be_are_one_line(options, says):
    with pytest.raises(UserError) as error:
        NodeDataModule.from_graph(ring(), **SPLIT | options)
    assert str(error.value).startswith(says) and "\n" not in str(error.value)


def test_a_target_that_training_does_not_know_is_refused():
    wanted = numbers()
    wanted[:40, 1] = NAN
    splits = {"train": torch.arange(1, 7), "val": torch.arange(20, 27), "test": torch.arange(40, 47)}
    wanted[:, 0] = 1.0
    data = NodeDataModule.from_graph(ring(), labels=wanted, target="regression", splits=splits)
    with pytest.raises(UserError, match="^data: 1 is unknown for all training items; fix: leave it out"):
        data.spec  # noqa: B018
    with pytest.raises(ValueError, match=r"^extra_metrics=auc: .*allowed: mean_absolute_error"):
        GraphNet(spec=served("regression").spec, hidden_size=8, extra_metrics=["auc"])
