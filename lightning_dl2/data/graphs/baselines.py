"""Baselines of graph networks: constant answers, and linear models that read no neighbours.

KINDS has them, and what the spec says, for each kind of target.

Shapes: M items (nodes or graphs), F features, C classes, T targets of an item.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_dl2.data.baselines import majority_share

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of the L2 penalty; validation chooses
ITERATIONS = 100  # of L-BFGS; the problem is convex
ENOUGH = 1e-6  # change of the loss, in nats, at which L-BFGS ends


class Kind(NamedTuple):
    """Facts and baselines of a kind of target, which need no net."""

    facts: Callable[[Tensor, int], dict[str, Any]]  # of the spec: from the targets of training, and C or T
    constants: Callable[[Tensor, Tensor, int], dict[str, float]]  # of train and test: metrics of constant answers
    in_spec: tuple[str, ...]  # the constants that the spec has, too
    linear: Callable[[dict[str, Tensor], dict[str, Tensor], int], float]  # of a linear model: features, targets, C or T


def _class_facts(train: Tensor, num_classes: int) -> dict[str, Any]:
    counts = torch.bincount(train, minlength=num_classes)
    return {"class_shares": (counts / counts.sum()).tolist()}


def _class_constants(train: Tensor, test: Tensor, num_classes: int) -> dict[str, float]:
    """Return the test accuracies of training's commonest class, of several the first, and of the test's commonest."""
    majority = majority_share(train.numpy(), test.numpy(), num_classes)
    best = majority_share(test.numpy(), test.numpy(), num_classes)
    return {"majority_baseline": majority, "best_constant_baseline": best}


def _number_facts(train: Tensor, num_targets: int) -> dict[str, Any]:
    columns = [column.double() for column in _columns(train)]
    scales = [float(column.std(correction=0)) or 1.0 for column in columns]
    return {"target_mean": [float(column.mean()) for column in columns], "target_scale": scales}


def _number_constants(train: Tensor, test: Tensor, num_targets: int) -> dict[str, float]:
    """Return the mean absolute error of training's median, and the root mean squared error of its mean."""
    pairs = [(known.double(), asked.double()) for known, asked in zip(_columns(train), _columns(test), strict=True)]
    squared = [(asked - known.mean()).square().mean().sqrt() for known, asked in pairs if len(asked)]
    return {"median_baseline": median_error(train, test), "mean_baseline": torch.stack(squared).mean().item()}


def _label_facts(train: Tensor, num_targets: int) -> dict[str, Any]:
    return {"label_shares": [float(column.mean()) for column in _columns(train)]}


def _label_constants(train: Tensor, test: Tensor, num_targets: int) -> dict[str, float]:
    """Return the share of right labels if each has its commoner value in training, or in the test."""

    def share(guessed: Tensor) -> float:
        pairs = zip(_columns(guessed), _columns(test), strict=True)
        right = [asked == float(known.mean() > 0.5) for known, asked in pairs if len(asked)]
        return torch.cat(right).double().mean().item()

    return {"majority_baseline": share(train), "best_constant_baseline": share(test)}


def _columns(targets: Tensor) -> list[Tensor]:
    """Return the known values of each target, of [M] or [M, T]."""
    return [column[~column.isnan()] for column in targets.reshape(len(targets), -1).T]


def median_error(train: Tensor, test: Tensor) -> float:
    """Return the mean absolute error on `test` of always guessing training's median; of T targets their mean."""
    pairs = zip(_columns(train), _columns(test), strict=True)
    errors = [(asked.double() - known.double().median()).abs().mean() for known, asked in pairs if len(asked)]
    return torch.stack(errors).mean().item()


def linear_accuracy(features: dict[str, Tensor], labels: dict[str, Tensor], num_classes: int) -> float:
    """Return the test accuracy of multinomial logistic regression.

    Args:
        features: of each split, [M, F].
        labels: of each split, int64 [M].
    """

    def right(outputs: Tensor, split: str) -> float:
        return (outputs.argmax(1) == labels[split]).double().mean().item()

    return _logistic(features, num_classes, lambda outputs: F.cross_entropy(outputs, labels["train"]), right)


def linear_label_accuracy(features: dict[str, Tensor], labels: dict[str, Tensor], num_targets: int) -> float:
    """Return the share of the test's known labels that logistic regressions tell, one a label; labels [M, T]."""
    known = {split: ~values.isnan() for split, values in labels.items()}
    train = labels["train"].double().nan_to_num()

    def loss(outputs: Tensor) -> Tensor:
        losses = F.binary_cross_entropy_with_logits(outputs, train, reduction="none")
        return (losses * known["train"]).sum() / known["train"].sum()

    def right(outputs: Tensor, split: str) -> float:
        return ((outputs > 0) == (labels[split] > 0.5))[known[split]].double().mean().item()

    return _logistic(features, num_targets, loss, right)


def _logistic(
    features: dict[str, Tensor],
    num_outputs: int,
    loss_of: Callable[[Tensor], Tensor],
    right: Callable[[Tensor, str], float],
) -> float:
    """Fit a linear model for each strength of the penalty; return the test's share of the one best in validation.

    The features are turned to the principal axes of training's, and scaled so that the curvature is near 1: L-BFGS
    then needs a few steps. The fits go from the strongest penalty to weaker ones, which take longer. Each begins at the
    one before, and the last is the second in a row that validates worse than the best.
    """
    inputs = {split: x[:, :-1] for split, x in _standardized(features).items()}  # the intercept is apart
    axes, variances = _principal(inputs["train"])
    scores = {split: x @ axes for split, x in inputs.items()}
    weight = torch.zeros(len(variances), num_outputs, dtype=torch.float64)
    intercept = torch.zeros(num_outputs, dtype=torch.float64)
    best, test, worse = -1.0, 0.0, 0
    for strength in sorted(STRENGTHS, reverse=True):
        scale = (variances / 4 + 2 * strength).rsqrt()[:, None]
        weight, intercept = _descend(scores["train"], weight, intercept, scale, strength, loss_of)
        share = right(scores["val"] @ weight + intercept, "val")
        worse = worse + 1 if share < best else 0
        if share >= best:  # of equal ones the weaker penalty
            best, test = share, right(scores["test"] @ weight + intercept, "test")
        if worse == 2:
            break
    return test


def _principal(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the principal axes of standardised features [M, F], [F, R], and the variances along them, [R]."""
    few = len(x) < x.shape[1]
    variances, axes = torch.linalg.eigh((x @ x.T if few else x.T @ x) / len(x))
    kept = variances > 1e-9 * variances.sum().clamp(min=1e-9)
    variances, axes = variances[kept], axes[:, kept]
    return (x.T @ axes / (len(x) * variances).sqrt() if few else axes), variances


def _descend(
    x: Tensor, weight: Tensor, intercept: Tensor, scale: Tensor, strength: float, loss_of: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Minimise the loss plus `strength` times the squares of the weights; return weights [R, K], intercepts [K]."""
    scaled, shift = (weight / scale).requires_grad_(), intercept.clone().requires_grad_()
    rules: dict[str, Any] = {"max_iter": ITERATIONS, "tolerance_change": ENOUGH, "line_search_fn": "strong_wolfe"}
    optimizer = torch.optim.LBFGS([scaled, shift], **rules)

    def closure() -> Tensor:
        optimizer.zero_grad()
        weight = scale * scaled
        loss = loss_of(x @ weight + shift) + strength * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return (scale * scaled).detach(), shift.detach()


def linear_error(features: dict[str, Tensor], targets: dict[str, Tensor], num_targets: int = 1) -> float:
    """Return the test mean absolute error of ridge regression, of T targets their mean; targets [M] or [M, T]."""
    columns = {split: values.reshape(len(values), -1) for split, values in targets.items()}
    errors = []
    for number in range(num_targets):
        values = {split: each[:, number] for split, each in columns.items()}
        known = {split: ~each.isnan() for split, each in values.items()}
        if not known["test"].any():
            continue
        rows = {split: features[split][known[split]] for split in features}
        errors.append(_ridge_error(rows, {split: values[split][known[split]] for split in values}))
    return sum(errors) / len(errors)


def _ridge_error(features: dict[str, Tensor], targets: dict[str, Tensor]) -> float:
    features = _standardized(features)
    x, y = features["train"], targets["train"].double()
    gram, penalty = x.T @ x / len(x), torch.eye(x.shape[1], dtype=torch.float64)
    penalty[-1, -1] = 0

    def error(weight: Tensor, split: str) -> float:
        return (features[split] @ weight - targets[split].double()).abs().mean().item()

    weights = [torch.linalg.lstsq(gram + s * penalty, x.T @ y / len(x)).solution for s in STRENGTHS]
    return error(min(weights, key=lambda weight: error(weight, "val")), "test")


def _standardized(features: dict[str, Tensor]) -> dict[str, Tensor]:
    """Standardise to zero mean and unit variance on the training split, and append a column of ones."""
    train = features["train"].double()
    mean = train.mean(0)
    deviation = (train - mean).square().mean(0).sqrt()  # torch.std warns where there are no features
    deviation = torch.where(deviation > 0, deviation, 1.0)

    def convert(x: Tensor) -> Tensor:
        return torch.cat([(x.double() - mean) / deviation, torch.ones(len(x), 1, dtype=torch.float64)], 1)

    return {split: convert(x) for split, x in features.items()}


KINDS = {
    "classification": Kind(_class_facts, _class_constants, ("majority_baseline",), linear_accuracy),
    "regression": Kind(_number_facts, _number_constants, ("median_baseline",), linear_error),
    "multilabel": Kind(_label_facts, _label_constants, (), linear_label_accuracy),
}
