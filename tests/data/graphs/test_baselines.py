"""Test the baselines: linear models find linear relations, and nothing in constant features."""

import pytest
import torch

from lightning_dl2.data.baselines import majority_share
from lightning_dl2.data.graphs import baselines
from lightning_dl2.data.graphs.baselines import linear_accuracy, linear_error, median_error

SIZES = {"train": 300, "val": 100, "test": 400}


def drawn(features: int = 4, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {split: torch.randn(size, features, generator=generator) for split, size in SIZES.items()}


def test_majority_share():
    train, test = torch.tensor([2, 2, 0, 1, 1]).numpy(), torch.tensor([1, 1, 1, 2]).numpy()
    assert majority_share(train, test, 3) == 0.75  # ties go to the first class
    assert majority_share(torch.tensor([0]).numpy(), test, 4) == 0.0


def test_median_error():
    assert median_error(torch.tensor([0.0, 1.0, 100.0]), torch.tensor([1.0, 3.0])) == 1.0
    assert median_error(torch.tensor([1.0, 2.0]), torch.tensor([1.5])) == 0.5  # the lower of two medians


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e4])
def test_separable_classes_are_separated_whatever_the_units(scale):
    """Three linearly separable classes are separated, whatever the units and offsets of the features."""
    features = drawn()
    labels = {split: x[:, :3].argmax(1) for split, x in features.items()}
    features = {split: x * scale + 7 * scale for split, x in features.items()}
    assert linear_accuracy(features, labels, 3) > 0.97


def test_noise_is_chance():
    labels = {
        split: torch.randint(4, (size,), generator=torch.Generator().manual_seed(1)) for split, size in SIZES.items()
    }
    assert linear_accuracy(drawn(), labels, 4) == pytest.approx(0.25, abs=0.08)


def test_an_intercept_finds_the_commonest_class():
    """Constant features give the majority class, without a division by zero."""
    features = {split: torch.full((size, 2), 3.0) for split, size in SIZES.items()}
    labels = {split: (torch.arange(size) % 10 < 7).long() for split, size in SIZES.items()}
    assert linear_accuracy(features, labels, 2) == pytest.approx(0.7)
    assert linear_accuracy({split: x[:, :0] for split, x in features.items()}, labels, 2) == pytest.approx(0.7)


def test_the_intercept_is_free_of_the_penalty(monkeypatch):
    """With weights held near zero by the penalty, the most common class is predicted."""
    monkeypatch.setattr(baselines, "STRENGTHS", (1000.0,))
    features = drawn()
    labels = {split: (x[:, 0] > -0.5).long() for split, x in features.items()}
    assert linear_accuracy(features, labels, 2) == labels["test"].double().mean().item() < 0.8


def test_a_constant_column_changes_nothing():
    features = drawn()
    labels = {split: (x[:, 0] > 0).long() for split, x in features.items()}
    wider = {split: torch.cat([x, torch.ones(len(x), 1)], 1) for split, x in features.items()}
    assert linear_accuracy(wider, labels, 2) == linear_accuracy(features, labels, 2) > 0.9


@pytest.mark.slow
def test_the_same_answer_again_without_a_global_generator():
    features = drawn()
    labels = {split: (x[:, 0] + x[:, 1] > 0.3).long() for split, x in features.items()}
    state = torch.get_rng_state()
    assert linear_accuracy(features, labels, 2) == linear_accuracy(features, labels, 2)
    with torch.no_grad():  # as in a final test
        assert linear_accuracy(features, labels, 2) > 0.9
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.slow
def test_validation_chooses_the_strength(monkeypatch):
    """The strength that is best on validation is used, not the one that is best on test."""
    features = drawn(features=60, seed=3)
    labels = {
        split: (x[:, 0] + 1.5 * torch.randn(len(x), generator=torch.Generator().manual_seed(2)) > 0).long()
        for split, x in features.items()
    }
    found = {}
    for strength in baselines.STRENGTHS:
        monkeypatch.setattr(baselines, "STRENGTHS", (strength,))
        validation = features | {"test": features["val"]}, labels | {"test": labels["val"]}
        found[strength] = linear_accuracy(*validation, 2), linear_accuracy(features, labels, 2)
    monkeypatch.undo()
    best = max(found.values(), key=lambda pair: pair[0])
    assert linear_accuracy(features, labels, 2) == best[1]
    assert len({pair[1] for pair in found.values()}) > 1  # the strength matters


def test_ridge_is_its_closed_form(monkeypatch):
    """Ridge is (X'X + n s I)^-1 X'y on standardised columns and a centred target, with a free intercept."""
    features = drawn()
    targets = {split: x @ torch.tensor([1.0, -2.0, 0.5, 0.0]) + 5 + x[:, 0] ** 2 for split, x in features.items()}
    for strength in (1e-4, 0.1, 1.0):
        monkeypatch.setattr(baselines, "STRENGTHS", (strength,))
        x, y = features["train"].double(), targets["train"].double()
        mean, deviation = x.mean(0), x.std(0, correction=0)
        z = (x - mean) / deviation
        weight = torch.linalg.inv(z.T @ z + len(z) * strength * torch.eye(4).double()) @ z.T @ (y - y.mean())
        guess = (features["test"].double() - mean) / deviation @ weight + y.mean()
        expected = (guess - targets["test"].double()).abs().mean().item()
        assert linear_error(features, targets) == pytest.approx(expected, rel=1e-9)


def test_ridge_finds_a_line_and_survives_equal_columns():
    features = drawn()
    targets = {split: 3 * x[:, 0] - 2 for split, x in features.items()}
    assert linear_error(features, targets) < 1e-3
    twice = {split: torch.cat([x, x, torch.zeros(len(x), 1)], 1) for split, x in features.items()}
    assert linear_error(twice, targets) < 1e-3
    noise = {split: torch.randn(size, generator=torch.Generator().manual_seed(5)) for split, size in SIZES.items()}
    assert linear_error(features, noise) == pytest.approx(0.8, abs=0.1)  # E|z| of a standard normal
