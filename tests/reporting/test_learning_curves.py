"""Test that curves are means over runs, and end where most runs have ended."""

import json
import re
import statistics
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from lightning_dl2.reporting.learning_curves import POINTS, alone, band, compare, shown_metrics, thinned
from lightning_dl2.reporting.records import find
from lightning_dl2.reporting.svg import INK
from lightning_dl2.reporting.variants import experiments
from tests.reporting.made_up import made_up_run


def test_the_band_is_mean_and_deviation():
    assert band([{1: 1.0, 2: 3.0}, {1: 3.0, 2: 3.0}]) == [(1, 2.0, pytest.approx(2**0.5)), (2, 3.0, 0.0)]


def test_a_minority_is_not_taken_for_all():
    histories = [{1: 1.0}, {1: 1.0}, {1: 4.0, 2: 9.0}]
    assert [step for step, *_ in band(histories)] == [1]
    assert [step for step, *_ in band([*histories, {1: 1.0, 2: 1.0}])] == [1, 2]


@pytest.fixture
def experiment(tmp_path):
    made_up_run(tmp_path, "task.cell=gru")
    made_up_run(tmp_path, "task.cell=gru", seed=1, losses=(3.0, 2.0, 0.01))
    made_up_run(tmp_path, "task.cell=rnn", status=None)
    return experiments(find([tmp_path]))[0]


@pytest.mark.slow
def test_the_monitored_metric_is_drawn_first(experiment):
    assert shown_metrics(experiment) == ["loss", "accuracy"]


@pytest.mark.slow
def test_figures_are_elements_of_a_page(experiment):
    drawn = [compare(experiment, "loss"), compare(experiment, "loss", "overview")]
    drawn += [alone(experiment, variant, "loss") for variant in experiment.variants]
    names = []
    for svg in drawn:
        root = ElementTree.fromstring(svg)  # raises if the SVG is not well-formed
        assert root.tag.endswith("svg") and "width" not in root.attrib and root.attrib["role"] == "img"
        assert ">loss<" in svg and "optimiser step" in svg and INK not in svg and "currentColor" in svg
        names += re.findall(r' id="(\w{11})"', svg)  # ids of shared elements must be unique on a page
    assert len(names) == len(set(names))


def told(svg):
    """Return the data of a figure that a script can read."""
    return json.loads(ElementTree.fromstring(svg).attrib["data-points"])


@pytest.mark.slow
def test_the_points_can_be_told_and_means_are_over_completed_runs(experiment):
    gru, rnn = told(compare(experiment, "loss"))["curves"]
    deviations = [pytest.approx(statistics.stdev(pair), rel=1e-4) for pair in ((2, 3), (1, 2), (0.5, 0.01))]
    means = [2.5, 1.5, pytest.approx(0.255)]
    points = [[step, *pair] for step, *pair in zip((10, 20, 30), means, deviations, strict=True)]
    assert gru == {"label": "cell=gru", "points": points}
    assert rnn["label"] == "cell=rnn, not completed" and rnn["points"] == [[10, 2, 0], [20, 1, 0], [30, 0.5, 0]]


@pytest.mark.slow
def test_runs_without_a_validation_show_their_training(tmp_path):
    path = made_up_run(tmp_path, status="failed")
    (path / "metrics.csv").write_text("step,train/loss,train/gradient_norm\n1,3,9\n2,2,9\n")
    (experiment,) = experiments(find([tmp_path]))
    assert shown_metrics(experiment) == ["loss"]
    (curve,) = told(compare(experiment, "loss"))["curves"]
    assert curve["label"].endswith("training, not completed") and curve["points"] == [[1, 3, 0], [2, 2, 0]]


@pytest.mark.slow
def test_what_failed_is_a_line_of_its_own(tmp_path):
    made_up_run(tmp_path, losses=(2.0, 1.0))
    made_up_run(tmp_path, seed=1, losses=(9.0, 9.0), status="failed")
    (experiment,) = experiments(find([tmp_path]))
    curves = told(alone(experiment, experiment.variants[0], "loss"))["curves"]
    assert [(curve["label"], curve["points"][-1][1]) for curve in curves] == [
        ("training", 1.1),
        ("training, not completed", 9.9),
        ("validation", 1.0),
        ("validation, not completed", 9.0),
    ]


@pytest.mark.slow
def test_a_share_ends_at_one_and_its_baseline_is_drawn(tmp_path, limits):
    made_up_run(tmp_path, losses=(2.0, 0.0))
    (experiment,) = experiments(find([tmp_path]))
    drawn = compare(experiment, "accuracy")
    assert "majority baseline" in drawn and "majority baseline" not in compare(experiment, "loss")
    (low, high), _ = limits
    assert 0 <= low < 0.1 and high == 1.0
    place = told(drawn)["axes"]["y"]
    assert place["span"] == [low, high] and not place["log"]
    assert 0 < place["points"][1] < place["points"][0] < 3.0 * 72  # the axis points down, so 1 is higher
    made_up_run(tmp_path, "data.sequence_length=7", seed=1)  # baselines that differ are not drawn
    result = next(tmp_path.rglob("seed=1")) / "result.json"
    result.write_text(result.read_text().replace('"test/majority_baseline": 0.1', '"test/majority_baseline": 0.2'))
    (experiment,) = experiments(find([tmp_path]))
    assert "majority baseline" not in compare(experiment, "accuracy")


@pytest.mark.slow
def test_a_metric_of_any_name_is_drawn(tmp_path):
    path = made_up_run(tmp_path)
    (path / "metrics.csv").write_text("step,val/$\\frac$\n1,2\n3,4\n")
    (experiment,) = experiments(find([tmp_path]))
    assert "$\\frac$" in compare(experiment, "$\\frac$")


def test_what_was_not_logged_is_not_drawn(experiment):
    assert alone(experiment, experiment.variants[0], "nothing") == ""


@pytest.mark.slow
def test_long_runs_are_thinned_to_what_can_be_seen(tmp_path):
    made_up_run(tmp_path, losses=tuple(1 / step for step in range(1, 20 * POINTS)))
    (experiment,) = experiments(find([tmp_path]))
    assert len(alone(experiment, experiment.variants[0], "loss")) < 60_000
    for count in (0, 1, POINTS, POINTS + 1, 2 * POINTS + 2, 5 * POINTS + 1):
        points = [(step, float(step % 7), 0.0) for step in range(count)]
        kept = thinned(points)
        assert kept == sorted(kept) and set(kept) <= set(points) and len(kept) <= POINTS
        assert kept == points if count <= POINTS else kept[:: len(kept) - 1] == [points[0], points[-1]]


def test_thinning_keeps_spikes():
    points = [(step, 1.0, 0.0) for step in range(100_000)]
    points[12_345], points[77_777] = (12_345, 9.0, 0.0), (77_777, -9.0, 0.0)
    assert {points[12_345], points[77_777]} <= set(thinned(points))


def test_the_band_of_long_runs_is_of_their_extremes():
    """The band of long runs spans their extremes, which they have at different steps."""
    first, second = {1: 0.0, 3: 8.0, 9: 5.0}, {0: 4.0, 2: 2.0, 9: 5.0}
    deviations = [pytest.approx(statistics.stdev(values)) for values in ([0, 2], [8, 4])]
    assert band([first, second], 8) == [(2, 1.0, deviations[0]), (2, 6.0, deviations[1]), (9, 5.0, 0.0)]
    assert band([first], 8) == [(1, 0.0, 0.0), (3, 8.0, 0.0), (9, 5.0, 0.0)]


def test_runs_that_share_no_step_are_not_averaged(tmp_path):
    for seed in range(3):
        path = made_up_run(tmp_path, seed=seed)
        (path / "metrics.csv").write_text(f"step,val/loss\n{10 + seed},0.5\n")
    (experiment,) = experiments(find([tmp_path]))
    assert alone(experiment, experiment.variants[0], "loss") == ""


def test_a_single_point_can_be_seen(tmp_path):
    made_up_run(tmp_path, losses=(1.0,), status="failed")
    (experiment,) = experiments(find([tmp_path]))
    assert alone(experiment, experiment.variants[0], "loss").count("<use ") > 10  # the ticks and two points


@pytest.fixture
def limits(monkeypatch):
    """Return the range of the vertical axis of each figure."""
    seen, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (seen.append(self.axes[0].get_ylim()), save(self, *a, **k))
    )
    return seen


@pytest.mark.slow
def test_a_spike_leaves_room_for_the_others(tmp_path, limits):
    for seed in range(4):
        made_up_run(tmp_path, seed=seed, losses=(2.0, 40.0 if seed == 0 else 2.0, 1.9))
    (experiment,) = experiments(find([tmp_path]))
    alone(experiment, experiment.variants[0], "loss")
    ((low, high),) = limits
    assert -0.5 < low <= 1.9 and 11.5 <= high < 20  # the whole band is from -8 to 31


def test_names_cannot_break_out_of_the_figure(tmp_path):
    path = made_up_run(tmp_path)
    (path / "metrics.csv").write_text('step,"val/a"" onload=""alert(1)"\n1,2\n3,4\n')
    (experiment,) = experiments(find([tmp_path]))
    (name,) = shown_metrics(experiment)
    ElementTree.fromstring(svg := alone(experiment, experiment.variants[0], name))
    assert " onload=" not in svg.split(">")[0].replace("&quot; onload=", "")
