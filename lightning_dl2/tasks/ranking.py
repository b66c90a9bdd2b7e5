"""Metrics of link prediction: at which rank a link stands among all negatives of its split.

Shapes: M pairs.
"""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class LinkRank(Metric):
    """Mean reciprocal rank of the links, or the share of them above all but k - 1 negatives (Hits@k).

    Each link of the split is ranked among all negatives of the split, over all batches and ranks, as in OGB (Hu et al.
    2020, arXiv:2005.00687). Of equal scores, the reciprocal rank takes the mean of the best and the worst rank, and
    Hits@k the worst.

    Args:
        k: of Hits@k; None: the mean reciprocal rank.
    """

    full_state_update = False
    scores: list[Tensor]
    labels: list[Tensor]

    def __init__(self, k: int | None = None) -> None:
        super().__init__()
        self.k = k
        for name in ("scores", "labels"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, scores: Tensor, labels: Tensor) -> None:
        """Add scores, and labels that are 1 for a link and 0 for a negative; [M] or [M, 1]."""
        self.scores.append(scores.detach().reshape(-1))
        self.labels.append(labels.reshape(-1))

    def compute(self) -> Tensor:
        scores, labels = dim_zero_cat(self.scores), dim_zero_cat(self.labels)
        links, negatives = scores[labels > 0.5], scores[labels <= 0.5].sort().values
        if scores.isnan().any() or not len(links):
            return torch.tensor(torch.nan, device=scores.device)
        below, not_above = (torch.searchsorted(negatives, links, right=right) for right in (False, True))
        if self.k is not None:
            return (len(negatives) - below < self.k).double().mean()
        rank = 1 + len(negatives) - (below + not_above).double() / 2
        return (1 / rank).mean()
