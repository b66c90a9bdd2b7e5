"""Test that batches of any data follow from the step's number, and that what cannot is told."""

import random
import re

import numpy as np
import pytest
import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.demos.boring_classes import BoringDataModule, BoringModel
from pytorch_lightning.utilities import CombinedLoader
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    SequentialSampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
)

from lightning_dl2.common.errors import UserError
from lightning_dl2.resume.data import MapStyleDataModule, adapt
from tests.small import small_data


class Augmented(Dataset):
    """Items whose random numbers come from three libraries, and a generator of its own."""

    def __init__(self, size=22):
        self.size, self.rng = size, np.random.default_rng()

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        drawn = random.random(), np.random.rand(), torch.rand(()).item(), self.rng.random()
        return torch.tensor([index, *drawn], dtype=torch.float64)


class Stream(IterableDataset):
    def __init__(self, size=7):
        self.size = size

    def __iter__(self):
        return (torch.tensor([index, torch.rand(()).item()]) for index in range(self.size))


class Stateful(Stream):
    def __init__(self):
        super().__init__(1000)
        self.place, self.reads = 0, 0

    def __iter__(self):
        while True:
            self.reads += 1
            self.place += 1
            yield torch.tensor([self.place, torch.rand(()).item()])

    def state_dict(self):
        return {"place": self.place}

    def load_state_dict(self, state_dict):
        self.place = state_dict["place"]


class Own(LightningDataModule):
    """A data module as a user writes it, which counts calls of its hooks."""

    spec = {"num_classes": 3}

    def __init__(self, loader, val=None):
        super().__init__()
        self.loader, self.val, self.calls, self.num_workers = loader, val, [], 7

    def prepare_data(self):
        self.calls.append("prepare_data")

    def setup(self, stage):
        self.calls.append(stage)
        self.world, self.drawn = self.trainer.world_size, torch.rand(()).item()

    def train_dataloader(self):
        return self.loader()

    def val_dataloader(self):
        return DataLoader(Augmented(10), batch_size=4)


class Growing:
    """A sampler that changes with each pass."""

    def __init__(self):
        self.passes = 0

    def __iter__(self):
        self.passes += 1
        return iter([self.passes % 5, *range(5, 11)])

    def __len__(self):
        return 7


def loaders():
    data, weights = Augmented(), torch.arange(22) + 1.0
    seeded = torch.Generator().manual_seed(3)
    return {
        "shuffled": lambda: DataLoader(data, 4, shuffle=True),
        "sequential": lambda: DataLoader(data, 4, drop_last=True),
        "weighted": lambda: DataLoader(data, 4, sampler=WeightedRandomSampler(weights, 22, generator=seeded)),
        "subset": lambda: DataLoader(Subset(data, range(3, 20)), 4, shuffle=True),
        "own sampler": lambda: DataLoader(data, 4, sampler=Growing()),
        "own batches": lambda: DataLoader(data, batch_sampler=[[1, 2], [3], [4, 5, 6]]),
        "single items": lambda: DataLoader(data, batch_size=None, shuffle=True),
        "own collate_fn": lambda: DataLoader(data, 4, collate_fn=lambda items: torch.stack(items) + torch.rand(())),
        "two": lambda: {"a": DataLoader(data, 4, shuffle=True), "b": [DataLoader(Augmented(9), 4, shuffle=True)]},
        "shortest": lambda: CombinedLoader([DataLoader(data, 4), DataLoader(data, 8)], "min_size"),
        "stream": lambda: DataLoader(Stream(), 2),
        "stream and items": lambda: [DataLoader(Stream(), 2), DataLoader(data, 4, shuffle=True)],
        "list of tensors": lambda: [torch.ones(2)],
    }


def flat(batch):
    parts = torch.utils._pytree.tree_leaves(batch)
    return torch.cat([torch.as_tensor(part, dtype=torch.float64).flatten() for part in parts])


def exact(loader, **options):
    return adapt(Own(loader), seed=3, **options)


@pytest.mark.parametrize("name", loaders())
def test_a_batch_follows_from_its_step(name):
    """A fresh process that begins at any step makes the same batches as one that has made all before."""
    limit = {"limit_train_batches": 5} if "stream" in name else {}
    whole = exact(loaders()[name], **limit)
    steps = range(2 * whole.batches_per_epoch + 2)
    batches = [flat(whole.train_batch(step)) for step in steps]
    for step in list(steps)[:: len(steps) // 3 or 1]:
        torch.manual_seed(step)
        assert torch.equal(flat(exact(loaders()[name], **limit).train_batch(step)), batches[step])
    assert torch.equal(flat(whole.train_batch(1)), batches[1])
    if name in ("shuffled", "weighted", "subset", "single items"):
        assert not torch.equal(batches[0], batches[whole.batches_per_epoch])  # another epoch, another order
    other = adapt(Own(loaders()[name]), seed=4, **limit)
    assert name in ("own batches", "list of tensors") or not torch.equal(flat(other.train_batch(0)), batches[0])


def test_sizes_and_items_are_those_of_the_loader():
    data = exact(lambda: DataLoader(TensorDataset(torch.arange(22)), 4, shuffle=True))
    for epoch in range(2):
        batches = [data.train_batch(6 * epoch + step)[0] for step in range(6)]
        assert list(map(len, batches)) == [4, 4, 4, 4, 4, 2]
        assert sorted(torch.cat(batches).tolist()) == list(range(22))


def test_ranks_train_on_the_batches_of_one_process():
    """Two ranks with batch 2 have together the items, and their random numbers, of one with batch 4."""
    one = exact(lambda: DataLoader(Augmented(), 4, shuffle=True))
    ranks = [exact(lambda: DataLoader(Augmented(), 2, shuffle=True), placed_at=(rank, 2)) for rank in range(2)]
    assert one.batches_per_epoch == ranks[0].batches_per_epoch == ranks[1].batches_per_epoch == 6
    for step in (0, 5, 8):
        parts = [rank.train_batch(step) for rank in ranks]
        assert torch.equal(torch.stack(parts, 1).flatten(0, 1), one.train_batch(step))


@pytest.mark.parametrize(
    ("loader", "note"),
    [
        (lambda: DataLoader(Augmented(21), 4), "1 items of each epoch are left out: 5 processes"),
        (lambda: DataLoader(Augmented(29), 4, drop_last=True), "8 items of each epoch are left out: 5 processes"),
        (lambda: DataLoader(Augmented(), batch_sampler=[[1]] * 7), "2 batches of each epoch are left out: 5 processes"),
        (lambda: DataLoader(Stream(10), 5), "Stream only runs forward: .* skipping"),
        (lambda: DataLoader(Stateful(), 5), "Stateful only runs forward: .* its own state_dict; each epoch begins"),
        (lambda: DataLoader(Augmented(), 5, num_workers=1, timeout=9), "timeout of the training loader has no effect"),
    ],
)
def test_what_is_not_as_the_loader_says_is_told(loader, note):
    data = exact(loader, placed_at=(0, 5), limit_train_batches=3)
    (line,) = data.notes
    assert re.search(note, line) and data.note == line


def test_a_held_out_item_is_on_one_rank_and_always_the_same():
    sizes = []
    for rank in range(3):
        data = adapt(Own(lambda: None), seed=0, placed_at=(rank, 3))
        first, second = ([flat(batch) for batch in data.val_dataloader()] for _ in range(2))
        assert all(map(torch.equal, first, second))
        sizes.append([len(batch) // 5 for batch in first])
    assert sizes == [[4], [3], [3]]
    whole = adapt(Own(lambda: None), seed=0)
    assert [len(batch) for batch in whole.val_dataloader()] == [4, 4, 2]


def test_the_hooks_of_a_data_module_run_once():
    own = Own(lambda: DataLoader(Augmented(), 4))
    data = adapt(own, seed=1, placed_at=(0, 2))
    assert not own.calls and (data.batches_per_epoch, data.spec) == (3, {"num_classes": 3})
    assert (own.calls, own.world, own.trainer) == (["prepare_data", "fit"], 2, None)
    data.trainer = object()
    data.prepare_data()
    data.setup("fit")
    assert own.calls == ["prepare_data", "fit"] and own.trainer is data.trainer
    again = Own(lambda: None)
    adapt(again, seed=1, placed_at=(0, 2)).setup("fit")
    assert again.drawn == own.drawn  # a random split is the same after a resume
    data.calls = 5
    assert (own.calls, data.num_workers, own.num_workers) == (5, 0, 7)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: exact(lambda: DataLoader(Stream())).batches_per_epoch, "no length; fix: set trainer.limit_train"),
        (lambda: exact(lambda: DataLoader([])).check_processes(1), "the train split has no items"),
        (lambda: exact(lambda: DataLoader([1], 2)).check_processes(2), "2 processes share the 1 items of the train"),
        (lambda: exact(lambda: DataLoader([1], 2, drop_last=True)).check_processes(1), "drop_last leaves none"),
        (lambda: exact(lambda: DataLoader(Augmented(50), 4)).check_processes(11), "the 10 items of the val split"),
        (lambda: exact(lambda: CombinedLoader([1], "sequential")).batches_per_epoch, "mode=sequential, which training"),
        (lambda: exact(lambda: DataLoader(Stream(0)), limit_train_batches=3).train_batch(0), "has no batches"),
        (lambda: adapt(Augmented(), seed=0), "Augmented is no data module; .* fix: use MapStyleDataModule"),
        (lambda: adapt(LightningDataModule(), seed=0).batches_per_epoch, "has no training data; fix: write train_data"),
        (lambda: MapStyleDataModule([], batch_size=1).batches_per_epoch, "the train split has no items"),
        (lambda: MapStyleDataModule([1], batch_size=0), "batch_size=0: allowed: at least 1"),
        (lambda: MapStyleDataModule(Stream(), batch_size=1), "train=Stream has no length"),
        (lambda: MapStyleDataModule([1], [2], batch_size=1, validation_fraction=0.5), "val has a dataset of its own"),
    ],
)
def test_what_cannot_be_is_one_line(make, says):
    with pytest.raises(UserError, match=says):
        make()


def test_a_map_style_data_module_holds_items_out():
    data = MapStyleDataModule(range(20), batch_size=3, validation_fraction=0.2, test_fraction=0.1, shuffle=False)
    parts = [torch.cat(list(loader())).tolist() for loader in (data.val_dataloader, data.test_dataloader)]
    trained = torch.cat([data.train_batch(step) for step in range(data.batches_per_epoch)]).tolist()
    assert sorted(trained + parts[0] + parts[1]) == list(range(20)) and list(map(len, parts)) == [4, 2]
    assert trained == sorted(trained) and adapt(data, seed=5) is data and data.seed == 5


def test_a_stateful_stream_goes_on_without_reading_again():
    whole, dataset = exact(lambda: DataLoader(Stateful(), 2), limit_train_batches=4), Stateful()
    batches = [whole.train_batch(step) for step in range(3)]
    whole.trainer = trainer = type("T", (), {"limit_train_batches": 4, "world_size": 1, "global_rank": 0})()
    trainer.fit_loop = type("L", (), {})()
    trainer.fit_loop.epoch_loop = type("L", (), {})()
    trainer.fit_loop.epoch_loop.batch_progress = type("P", (), {"total": type("N", (), {"processed": 2})})
    state = whole.state_dict()  # of the moment before batch 2, which is read already
    resumed = exact(lambda: DataLoader(dataset, 2), limit_train_batches=4)
    resumed.load_state_dict(state)
    assert torch.equal(resumed.train_batch(2), batches[2]) and dataset.reads == 2


def test_other_data_than_the_checkpoint_s_are_refused():
    state = exact(lambda: DataLoader(Augmented(), 4)).state_dict()
    with pytest.raises(UserError, match="an epoch has 11 batches here, 6 when the run was begun"):
        exact(lambda: DataLoader(Augmented(), 2)).load_state_dict(state)
    with pytest.raises(UserError, match="seed=4: the checkpoint is of seed 3"):
        adapt(Own(lambda: DataLoader(Augmented(), 4)), seed=4).load_state_dict(state)


def test_what_is_exact_already_and_what_brings_loaders_in_other_ways():
    built_in = small_data()
    assert adapt(built_in, seed=0) is built_in

    class Pure:
        batches_per_epoch = 3

        def train_batch(self, step):
            return step + torch.rand(())

    pure = adapt(Pure(), seed=0)
    assert torch.equal(pure.train_batch(2), adapt(Pure(), seed=0).train_batch(2)) and pure.batches_per_epoch == 3
    assert adapt(BoringModel(), seed=0).batches_per_epoch == adapt(BoringDataModule(), seed=0).batches_per_epoch == 64
    with_val = adapt(DataLoader(range(5)), seed=0, val=DataLoader(range(3), sampler=SequentialSampler(range(3))))
    assert len(with_val.val_dataloader()) == 3 and with_val.batches_per_epoch == 5
