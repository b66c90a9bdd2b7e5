"""Test the metrics of link prediction by brute force, over batches and with equal scores."""

import pytest
import torch
from torchmetrics.retrieval import RetrievalMRR

from lightning_dl2.tasks.ranking import LinkRank


def scored(levels: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(levels)
    return torch.randint(levels, (60,), generator=generator) / 8, (torch.rand(60, generator=generator) < 0.4).float()


def compute(metric: LinkRank, scores: torch.Tensor, labels: torch.Tensor) -> float:
    for part, wanted in zip(scores.split(17), labels.split(17), strict=True):
        metric.update(part, wanted[:, None])
    return metric.compute().item()


@pytest.mark.parametrize("levels", [3, 1000])
def test_ranks_are_those_of_a_loop_over_all_pairs(levels):
    scores, labels = scored(levels)
    negatives = scores[labels == 0].tolist()
    ranks, hits = [], {k: [] for k in (1, 5, 50)}
    for score in scores[labels == 1].tolist():
        above, equal = sum(each > score for each in negatives), sum(each == score for each in negatives)
        ranks.append(1 / (1 + above + equal / 2))
        for k, found in hits.items():
            found.append(above + equal < k)
    assert compute(LinkRank(), scores, labels) == pytest.approx(sum(ranks) / len(ranks), abs=1e-12)
    for k, found in hits.items():
        assert compute(LinkRank(k), scores, labels) == pytest.approx(sum(found) / len(found), abs=1e-12)


def test_different_scores_have_the_rank_of_torchmetrics():
    labels = scored(1000)[1]
    scores = (1 + torch.randperm(60, generator=torch.Generator().manual_seed(1))) / 60  # it counts a score of 0 as none
    links, negatives = scores[labels == 1], scores[labels == 0]
    queries = torch.cat([links[:, None], negatives.expand(len(links), -1)], 1)
    wanted = torch.zeros_like(queries, dtype=torch.bool)
    wanted[:, 0] = True
    number = torch.arange(len(links))[:, None].expand_as(queries)
    expected = RetrievalMRR()(queries.flatten(), wanted.flatten(), indexes=number.flatten())
    assert compute(LinkRank(), scores, labels) == pytest.approx(expected.item(), abs=1e-6)


def test_a_score_that_is_no_number_is_no_rank():
    metric = LinkRank(10)
    metric.update(torch.tensor([0.5, torch.nan]), torch.tensor([1.0, 0.0]))
    assert metric.compute().isnan()
