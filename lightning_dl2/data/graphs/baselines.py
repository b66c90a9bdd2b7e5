"""Baselines of graph networks: the median, and linear models that read no neighbours.

`lightning_dl2.data.baselines.majority_share` is that of the commonest class.

Shapes: M items (nodes or graphs), F features, C classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of the L2 penalty; validation chooses
ITERATIONS = 100  # of L-BFGS; the problem is convex


def median_error(train: Tensor, test: Tensor) -> float:
    """Return the mean absolute error on `test` of always guessing training's median."""
    return (test.double() - train.double().median()).abs().mean().item()


def linear_accuracy(features: dict[str, Tensor], labels: dict[str, Tensor], num_classes: int) -> float:
    """Return the test accuracy of multinomial logistic regression.

    Args:
        features: of each split, [M, F].
        labels: of each split, int64 [M].
    """
    features = _standardized(features)

    def fit(strength: float) -> Tensor:
        weight = torch.zeros(features["train"].shape[1], num_classes, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([weight], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(features["train"] @ weight, labels["train"])
            loss = loss + strength * weight[:-1].square().sum()  # not of the intercept
            loss.backward()
            return loss

        with torch.enable_grad():
            optimizer.step(closure)
        return weight.detach()

    def accuracy(weight: Tensor, split: str) -> float:
        return ((features[split] @ weight).argmax(1) == labels[split]).double().mean().item()

    weights = [fit(strength) for strength in STRENGTHS]
    best = max(weights, key=lambda weight: accuracy(weight, "val"))
    return accuracy(best, "test")


def linear_error(features: dict[str, Tensor], targets: dict[str, Tensor]) -> float:
    """Return the test mean absolute error of ridge regression; arguments as in `linear_accuracy`."""
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
