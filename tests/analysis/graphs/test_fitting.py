"""Test the training loop of small nets for the analyses."""

import pytest
import torch

from lightning_dl2.analysis.graphs.fitting import fit


class Answers(torch.nn.Module):
    """A task of one weight with scripted accuracies."""

    def __init__(self, *accuracies: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.accuracies = iter(accuracies)

    def training_step(self, batch: int, batch_idx: int) -> dict[str, torch.Tensor]:
        return {"loss": 0 * self.weight.sum(), "accuracy": torch.tensor(next(self.accuracies))}


@pytest.mark.parametrize(
    ("accuracies", "patience", "steps"), [((1, 0, 1, 1, 1), 2, 4), ((1, 1, 0), 2, 2), ((1, 1, 1), None, 3)]
)
def test_so_many_in_a_row_end_it(accuracies, patience, steps):
    task = Answers(*map(float, accuracies))
    assert fit(task, lambda step: step, steps=len(accuracies), learning_rate=0.1, patience=patience) == steps
    assert not task.training


def test_weights_decay_as_asked_for():
    ends = []
    for weight_decay in (0.0, 0.5):
        task = Answers(0.0)
        fit(task, lambda step: step, steps=1, learning_rate=0.1, weight_decay=weight_decay)
        ends.append(task.weight.item())
    assert ends == [1.0, pytest.approx(0.9)]  # a step of Adam on the decay alone
