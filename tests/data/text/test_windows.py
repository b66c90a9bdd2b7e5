"""Test that every prediction counts once with the right state, for all shapes and numbers of processes."""

from collections import Counter

import numpy as np
import pytest
import torch

from lightning_dl2.data.text.windows import EvaluationBatches, read_ring
from lightning_dl2.decoding.vocabulary import NOT_COUNTED

# Token p stands at position p, so the tokens of a batch tell their positions.
SHAPES = [  # tokens in the split, rows, warmup, width
    (101, 4, 5, 8),
    (100, 1, 7, 8),
    (50, 32, 256, 256),
    (7, 3, 0, 2),
    (4, 8, 2, 3),
    (257, 5, 16, 16),
]


def batches(size: int, rows: int, warmup: int, width: int, world: int) -> list[list]:
    split = np.arange(size, dtype=np.uint16)
    loaders = [EvaluationBatches(split, rank, world, rows, warmup, width) for rank in range(world)]
    found = [list(loader) for loader in loaders]
    assert all(len(loader) == len(one) for loader, one in zip(loaders, found, strict=True))
    return found


def predictions(found: list[list], cold: bool) -> Counter:
    counted = Counter()
    for batch in (batch for rank in found for batch in rank if batch.cold == cold):
        kept = batch.targets != NOT_COUNTED
        assert torch.equal(batch.tokens[kept] + 1, batch.targets[kept])  # the target is the next token
        counted.update(batch.targets[kept].tolist())
    return counted


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_prediction_counts_once(shape, world):
    size, rows, _, width = shape
    found = batches(*shape, world)
    assert predictions(found, cold=False) == Counter(range(1, size))
    cold = min(width, size - 1)
    assert predictions(found, cold=True) == Counter(range(1, (size - 1) // cold * cold + 1))
    kinds = [[(batch.fresh, batch.cold, batch.tokens.shape) for batch in rank] for rank in found]
    assert all(kind == kinds[0] for kind in kinds)  # all processes have batches of the same shape
    for fresh, cold, (num_rows, length) in kinds[0]:
        assert 1 <= num_rows <= rows and length <= width and (fresh or not cold)
    assert [fresh for fresh, cold, _ in kinds[0] if not cold][0] and sum(f for f, cold, _ in kinds[0] if not cold) == 1
    assert all(batch.tokens.dtype == batch.targets.dtype == torch.int64 for rank in found for batch in rank)


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_reads_on_without_a_gap_from_its_warm_up(shape, world):
    _, _, warmup, _ = shape
    for rank in batches(*shape, world):
        stateful = [batch for batch in rank if not batch.cold]
        tokens, targets = (torch.cat(parts, 1) for parts in zip(*[batch[:2] for batch in stateful], strict=True))
        for row, goals in zip(tokens, targets, strict=True):
            (counted,) = torch.nonzero(goals != NOT_COUNTED, as_tuple=True)
            first, last = counted[0].item(), counted[-1].item()
            assert last - first + 1 == len(counted)
            assert torch.equal(row[: last + 1], row[0] + torch.arange(last + 1))
            assert first == min(warmup, row[first].item())
            assert not row[last + 1 :].any()


def test_segments_are_equally_long():
    (found,) = batches(101, 4, 0, 8, 1)
    counts = sum((batch.targets != NOT_COUNTED).sum(1) for batch in found if not batch.cold)
    assert counts.tolist() == [25, 25, 25, 25]


class Summing(torch.nn.Module):
    """A net that remembers everything: the "loss" of a token depends on all tokens since the state was zero."""

    def forward(self, tokens, state):
        sums = tokens.double().cumsum(1) + (0 if state is None else state)
        return torch.sin(sums), sums[:, -1:]


@pytest.mark.parametrize(("rows", "world"), [(1, 1), (4, 1), (3, 2)])
def test_with_warm_up_enough_the_loss_is_that_of_one_long_pass(rows, world):
    split = np.random.default_rng(0).integers(9, size=203).astype(np.uint8)
    net, total = Summing(), 0.0
    whole, _ = net(torch.from_numpy(split[None, :-1]).long(), None)
    for rank in range(world):
        state = None
        for batch in EvaluationBatches(split, rank, world, rows, 500 if rows * world > 1 else 0, 16):
            if not batch.cold:
                values, state = net(batch.tokens, None if batch.fresh else state)
                total += values[batch.targets != NOT_COUNTED].sum().item()
    assert total == pytest.approx(whole.sum().item(), rel=1e-9)


def test_cold_windows_are_whole_ones_in_order():
    (found,) = batches(35, 3, 0, 8, 1)
    cold = [batch for batch in found if batch.cold]
    assert [batch.tokens[:, 0].tolist() for batch in cold] == [[0, 8, 16], [24, 0, 0]]
    assert [(batch.targets != NOT_COUNTED).sum(1).tolist() for batch in cold] == [[8, 8, 8], [8, 0, 0]]


def test_the_ring_goes_round_but_its_end_does_not_predict_its_start():
    ring = np.arange(10, 17, dtype=np.uint8)
    tokens, targets = read_ring(ring, np.array([0, 4, 7 + 6]), 4)
    assert tokens.tolist() == [[10, 11, 12, 13], [14, 15, 16, 10], [16, 10, 11, 12]]
    assert targets.tolist() == [[11, 12, 13, 14], [15, 16, -100, 11], [-100, 11, 12, 13]]
    assert tokens.dtype == targets.dtype == torch.int64
