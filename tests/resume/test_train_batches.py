"""Test the position of training without a Trainer, inside an epoch and after one."""

import pytest
from pytorch_lightning import Callback

from lightning_dl2.common.errors import UserError
from lightning_dl2.resume.train_batches import batches_done, check_share, rank_and_world
from tests.small import small_data, small_task, small_trainer


def test_without_a_trainer():
    data = small_data()
    assert batches_done(data) == 0
    assert rank_and_world(data) == (0, 1)


@pytest.mark.parametrize(
    ("items", "says"),
    [
        (0, "data: the val split has no nodes; allowed: "),
        (2, "trainer.devices: 3 processes share the 2 nodes of the val"),
    ],
)
def test_each_process_needs_a_share(items, says):
    check_share(3, "nodes", "val", 3)
    with pytest.raises(UserError, match=says):
        check_share(items, "nodes", "val", 3)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_counts_batches_over_epochs_not_optimiser_steps(accumulate):
    data = small_data(batches_per_epoch=4)
    seen = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            seen.append(batches_done(data))

    trainer = small_trainer(max_steps=-1, max_epochs=3, accumulate_grad_batches=accumulate, callbacks=[Watch()])
    trainer.fit(small_task(data), data)
    assert seen == list(range(12))
    assert batches_done(data) == 12
    assert rank_and_world(data) == (0, 1)
