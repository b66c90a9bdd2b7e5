"""Which loggers a run gets."""

from pytorch_lightning.loggers import TensorBoardLogger

from lightning_dl2.callbacks import MetricsCSV
from lightning_dl2.loggers import build_loggers, finish
from lightning_dl2.run import Run
from lightning_dl2.tracking import Wandb


def test_loggers(tiny, tmp_path):
    run = Run(tmp_path)
    assert [type(each) for each in build_loggers(tiny(), run, 0)] == [MetricsCSV]
    both = build_loggers(tiny("logger=tensorboard"), run, 0)
    assert [type(each) for each in both] == [MetricsCSV, TensorBoardLogger]
    both = build_loggers(tiny("logger=wandb"), run, 0)
    assert [type(each) for each in both] == [MetricsCSV, Wandb]
    finish(both, {})  # was not opened
    assert not (tmp_path / "wandb_id").exists()
