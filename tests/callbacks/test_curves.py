"""Test that figures/curves.png shows metrics.csv: both splits, in the right panel, with the baseline."""

import pytest
from matplotlib.figure import Figure

from lightning_dl2 import train
from lightning_dl2.callbacks.curves import draw_curves
from lightning_dl2.loggers.metrics_csv import MetricsCSV


@pytest.fixture
def figures(monkeypatch):
    """Collect the figures that are saved."""
    saved, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **more: saved.append(self) or save(self, *args, **more))
    return saved


def write(path, last_loss=0.01):
    logger = MetricsCSV(path, 0)
    for step, loss in ((5, 2.0), (10, last_loss)):
        for split, metrics in (("train", {"gradient_norm": 1.0}), ("val", {})):
            values = metrics | {"loss": loss, "accuracy": 1 / loss}
            logger.log_metrics({f"{split}/{name}": value for name, value in values.items()}, step)
            logger.save()


@pytest.mark.slow
def test_both_splits_and_the_baseline_are_drawn(tmp_path, figures):
    write(tmp_path / "metrics.csv")
    draw_curves(tmp_path / "metrics.csv", tmp_path / "figures" / "curves.png", {"accuracy": 0.1})
    (figure,) = figures
    loss, accuracy = figure.axes
    assert [line.get_xydata().tolist() for line in loss.lines] == [[[5, 2.0], [10, 0.01]]] * 2
    assert [line.get_xydata().tolist() for line in accuracy.lines[:2]] == [[[5, 0.5], [10, 100.0]]] * 2
    assert list(accuracy.lines[2].get_ydata()) == [0.1, 0.1]
    labels = loss.get_xlabel(), loss.get_ylabel(), accuracy.get_ylabel()
    assert labels == ("optimiser step", "loss", "accuracy")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["training", "validation", "majority baseline"]
    assert loss.get_legend() is None  # the legend is outside of the axes
    assert len({line.get_color() for line in accuracy.lines}) == 3


@pytest.mark.slow
def test_the_loss_is_logarithmic_where_it_falls_by_more_than_a_decade(tmp_path, figures):
    for name, last in (("much.csv", 0.01), ("little.csv", 1.9)):
        write(tmp_path / name, last)
        draw_curves(tmp_path / name, tmp_path / f"{name}.png")
    assert [figure.axes[0].get_yscale() for figure in figures] == ["log", "linear"]


def test_nothing_is_drawn_of_nothing(tmp_path):
    draw_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")
    MetricsCSV(tmp_path / "metrics.csv", 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_run_draws_its_curves(tiny, figures):
    _, objects = train(tiny("callbacks.curves=true", "trainer.max_steps=6"))
    content = (objects["run"].path / "figures" / "curves.png").read_bytes()
    assert content.startswith(b"\x89PNG") and len(content) > 10_000
    (legend,) = figures[0].legends
    assert "majority baseline" in [text.get_text() for text in legend.get_texts()]
    assert [0.1, 0.1] in [list(line.get_ydata()) for axes in figures[0].axes for line in axes.lines]


@pytest.mark.slow
def test_the_axis_of_a_share_ends_at_one(tmp_path, figures):
    logger = MetricsCSV(tmp_path / "metrics.csv", 0)
    for step, accuracy in ((5, 0.2), (10, 1.0)):
        logger.log_metrics({"val/accuracy": accuracy}, step)
        logger.save()
    draw_curves(tmp_path / "metrics.csv", tmp_path / "curves.png", {"accuracy": 0.1})
    low, high = figures[0].axes[0].get_ylim()
    assert 0 < low < 0.1 and high == 1.0
