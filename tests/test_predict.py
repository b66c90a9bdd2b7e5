"""Test that `predict` writes a row per item, repeats the result's metrics, and reports errors in one line."""

import csv
import io
import shutil

import pytest
import torch

from lightning_dl2 import compose, evaluate, predict, train
from lightning_dl2.common.errors import UserError
from lightning_dl2.config.schema.targets import ALWAYS, name_of_target
from lightning_dl2.predict import main
from lightning_dl2.run.directory import Run
from tests.conftest import TINY, TINY_GRAPH, TINY_GRAPHS, TINY_TEXT, TRANSDUCER
from tests.small import write_graph

OWN_GRAPH = [word for word in TINY_GRAPH if not word.startswith("data.")]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """Return a run on a graph whose best and last checkpoints differ."""
    root = tmp_path_factory.mktemp("predict")
    return train(compose(*TINY_GRAPH, f"root={root}", "task.norm=batch", "optimizer.learning_rate=0.1"))[1]["run"]


@pytest.fixture
def says(run, capsys):
    """Return `says("out=-", ...)`: exit code, stdout and stderr of the command."""

    def command(*words: str) -> tuple[int, str, str]:
        code = main([f"run={run.path}", *words])
        return code, *capsys.readouterr()

    return command


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def accuracy(rows: list[dict[str, str]]) -> float:
    """Return an accuracy as float32, like the result."""
    right = sum(row["target"] == row["prediction"] for row in rows)
    return (torch.tensor(right, dtype=torch.float32) / len(rows)).item()


@pytest.mark.slow
def test_a_row_for_each_node(says, run, tmp_path):
    out = tmp_path / "predictions.csv"
    code, stdout, stderr = says(f"out={out}")
    assert (code, stdout) == (0, f"{out}\n") and stderr == f"36 predictions of {run.path} (best): {out}\n"
    rows = read(out.read_text())
    assert list(rows[0]) == ["id", "split", "target", "prediction", "p(0)", "p(1)", "p(2)"]
    assert len(rows) == len({row["id"] for row in rows}) == 36 and {row["split"] for row in rows} == {"test"}
    for row in rows:
        probabilities = {name: float(row[f"p({name})"]) for name in "012"}
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-12)
        assert row["prediction"] == max(probabilities, key=probabilities.get) and row["target"] in "012"
    assert accuracy(rows) == run.result()["metrics"]["test/accuracy"]
    assert sorted(row["id"] for row in rows) != sorted(row["id"] for row in predict(run, "val"))
    assert says("out=-")[1] == out.read_text() and [*out.parent.iterdir()] == [out]


@pytest.mark.slow
def test_all_splits_and_the_classes_of_the_data(says, run):
    rows = read(says("split=all", "out=-")[1])
    counts = [sum(row["split"] == split for row in rows) for split in ("train", "val", "test")]
    assert counts == [24, 30, 36] and len({row["id"] for row in rows}) == 90
    assert [row for row in rows if row["split"] == "val"] == read(says("split=val", "out=-")[1])
    assert accuracy([row for row in rows if row["split"] == "val"]) == run.result()["metrics"]["val/accuracy"]


@pytest.mark.slow
def test_last_is_another_checkpoint(says, run):
    assert says("out=-", "checkpoint=last")[1] != says("out=-")[1]
    assert says("out=-", "checkpoint=last")[1] == says("out=-", f"checkpoint={run.last}")[1]


@pytest.mark.slow
def test_graphs(tmp_path):
    _, objects = train(compose(*TINY_GRAPHS, f"root={tmp_path}", "trainer.max_steps=10"))
    rows, data = predict(objects["run"]), objects["datamodule"]
    assert [row["id"] for row in rows] == data.names(data.splits["test"]) and len(rows) == 12
    assert [row["target"] for row in rows] == [data.class_names[label] for label in data.labels[data.splits["test"]]]
    assert {"p(cycle)", "p(circular_ladder)"} < set(rows[0])
    assert accuracy(rows) == objects["run"].result()["metrics"]["test/accuracy"]
    # Every graph of the split has its row, although a trial run tests only a few batches.
    text = objects["run"].config_file.read_text()
    assert "limit_test_batches: null" in text
    objects["run"].config_file.write_text(text.replace("limit_test_batches: null", "limit_test_batches: 1"))
    assert predict(objects["run"]) == rows


@pytest.mark.slow
def test_nodes_of_many_graphs(tmp_path):
    words = ("data=pattern", "data.num_graphs=14", "data.min_nodes=1", "data.max_nodes=3", "trainer.max_steps=5")
    _, objects = train(compose(*TINY_GRAPHS, *words, f"root={tmp_path}"))
    rows, data = predict(objects["run"], "test"), objects["datamodule"]
    assert len(rows) == int(data.set.num_nodes[data.splits["test"]].sum()) and rows[0]["id"] == "12/0"
    assert accuracy(rows) == objects["run"].result()["metrics"]["test/accuracy"]


@pytest.mark.slow
def test_numbers(tmp_path, molecules):
    words = ("data=zinc", f"data.path={molecules}", "callbacks.checkpoint.monitor=val/mean_absolute_error")
    tiny = (word for word in TINY_GRAPHS if not word.startswith("data.") or "batch_size" in word)
    _, objects = train(compose(*tiny, *words, f"root={tmp_path}", "trainer.max_steps=5", "task.layer=gine"))
    rows = predict(objects["run"])
    assert [list(row) for row in rows] == [["id", "split", "target", "prediction"]] * 7
    error = sum(abs(row["target"] - row["prediction"]) for row in rows) / 7
    metrics = evaluate(objects["run"])
    assert metrics.items() <= objects["run"].result()["metrics"].items()
    assert error == pytest.approx(metrics["test/mean_absolute_error"], rel=1e-6)


@pytest.mark.slow
def test_a_graph_of_ones_own_and_a_later_one(tmp_path, capsys):
    """A user's names of nodes and classes are kept, and nodes without a split get predictions too."""
    graph = write_graph(tmp_path / "graph", [(number, number + 1) for number in range(9)], "ab?ccabcab", "tt-evvveet")
    _, objects = train(compose(*OWN_GRAPH, "data=graph_csv", f"data.path={graph}", f"root={tmp_path}/runs"))
    out = tmp_path / "out.csv"
    assert main([f"run={objects['run'].path}", f"out={out}", "split=all"]) == 0
    rows = read(out.read_text())
    found = {row["id"]: (row["split"], row["target"]) for row in rows}
    assert found == {
        "n0": ("train", "a"), "n1": ("train", "b"), "n9": ("train", "b"),
        "n4": ("val", "c"), "n5": ("val", "a"), "n6": ("val", "b"),
        "n3": ("test", "c"), "n7": ("test", "c"), "n8": ("test", "a"),
        "n2": ("rest", ""),
    }  # fmt: skip
    assert predict(objects["run"], "rest") == [
        {**row, **{key: float(value) for key, value in row.items() if key.startswith("p(")}}
        for row in rows
        if row["split"] == "rest"
    ]
    assert list(rows[0])[4:] == ["p(a)", "p(b)", "p(c)"] and {row["prediction"] for row in rows} <= set("abc")
    # The graph grows by two nodes: the first has a class that the run does not know, the other none.
    edges = [(number, number + 1) for number in range(11)]
    grown = write_graph(tmp_path / "grown", edges, "ab?ccabcabd?", "tt-evvveet--")
    words = [f"run={objects['run'].path}", f"data.path={grown}"]
    capsys.readouterr()
    assert main([*words, f"out={out}", f"embeddings={tmp_path / 'e.npz'}"]) == 0
    told, later = capsys.readouterr().err, read(out.read_text())
    assert {row["id"] for row in later} == {f"n{number}" for number in range(12)}
    assert {row["id"]: row["target"] for row in later if row["split"] == "rest"} == {"n2": "", "n10": "", "n11": ""}
    same = {row["id"]: row["p(a)"] for row in rows}
    near = {row["id"]: float(row["p(a)"]) for row in later}
    assert near["n0"] == pytest.approx(float(same["n0"])) and near["n9"] != pytest.approx(float(same["n9"]))
    right = sum(row["target"] == row["prediction"] for row in later if row["target"])
    assert f"note: data.path={grown}: not the graphs of the run; " in told
    assert "; 1 labels are of classes that the run does not know, and are not compared: d\n" in told
    assert f"note: accuracy {right / 9:.4f} on 9 known labels\n" in told
    assert main([*words, "out=-", "split=train"]) == 0 and len(read(capsys.readouterr().out)) == 3
    # `evaluate`, and `predict` where the run's own files have changed, still want the same graph.
    with pytest.raises(UserError, match="data: the content is not what it was"):
        evaluate(objects["run"], data_path=str(grown))


WRONG = {
    "split=tests out=-": "split=tests: allowed: train, val, test, rest, all",
    "split=rest out=-": "split=rest: the data of the run have no such items; allowed: train, val, test, all",
    "split=val": "out=VALUE: is missing",
    "out=/nowhere/at/all.csv": "out=/nowhere/at/all.csv: cannot be written; allowed: a file in a directory that exists",
    "out=.": "out=.: cannot be written",
    f"out={'x' * 300}": f"out={'x' * 300}: cannot be written: File name too long",
    "out=- checkpoint=nothing": "checkpoint=nothing: there is no file",
    "out=- splits=val": "splits=val: there is no key splits; did you mean split",
    "out": "out: is not of the form out=VALUE",
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_input_is_one_line(says, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = says(*words.split(" "))
    assert (code, out) == (2, "") and err.startswith(f"error: {WRONG[words]}") and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_generated_sequences(tmp_path):
    """Rows have their input, and repeat the metrics; the classifier's have probabilities."""
    more = f"root={tmp_path}", "trainer.max_steps=2"
    run = train(compose(*TINY, *more))[1]["run"]
    rows = predict(run)
    assert list(rows[0])[:5] == ["id", "split", "target", "prediction", "p(0)"] and len(rows) == 32
    assert accuracy(rows) == run.result()["metrics"]["test/accuracy"]
    for row in rows:
        assert row["target"] == row["input"][0] and sum(row[f"p({digit})"] for digit in range(10)) == pytest.approx(1)
    run = train(compose(*TRANSDUCER, "data.shortest_length=2", *more))[1]["run"]
    rows = predict(run, "all")
    assert [sum(row["split"] == split for row in rows) for split in ("val", "test")] == [32, 32]
    for row in rows:
        symbols, answer = row["input"].split(" "), row["target"].split(" ")
        assert symbols == [*reversed(answer), *["2"] * len(answer)] and len(row["prediction"].split(" ")) == len(answer)
    test = [row for row in rows if row["split"] == "test"]
    pairs = [p for row in test for p in zip(row["target"].split(" "), row["prediction"].split(" "), strict=True)]
    metrics = run.result()["metrics"]
    assert sum(a == b for a, b in pairs) / len(pairs) == pytest.approx(metrics["test/accuracy"])
    assert accuracy(test) == metrics["test/sequence_accuracy"]
    with pytest.raises(UserError, match="split=train: the data of the run have no such items; allowed: val, test, all"):
        predict(run, "train")


@pytest.mark.slow
def test_given_sequences(tmp_path):
    """Each sequence has a row with its number in the file."""
    (tmp_path / "words.txt").write_text("".join(f"{'ab'[n % 2]}\t{'AB' * (n % 7 + 1)}\n" for n in range(60)))
    tiny = [word for word in TINY if not word.startswith("data.")]
    words = ("experiment=sequence_file", f"data.path={tmp_path}/words.txt", f"root={tmp_path}/runs")
    run = train(compose(*tiny, *words, "trainer.max_steps=2"))[1]["run"]
    rows = predict(run, "all")
    assert sorted(int(row["id"]) for row in rows) == list(range(60))
    assert all(row["target"] == "ab"[int(row["id"]) % 2] for row in rows) and {"p(a)", "p(b)"} < set(rows[0])


@pytest.mark.slow
def test_no_run_and_no_run_that_predicts(tmp_path, capsys, book):
    out = tmp_path / "out.csv"
    (tmp_path / "empty").mkdir()
    text = [*TINY_TEXT, f"data.path={book}", f"data.cache_dir={book.parent}"]
    _, objects = train(compose(*text, f"root={tmp_path}/runs", "trainer.max_steps=2"))
    for words, says in (
        ([], "run=VALUE: is missing"),
        ([f"run={tmp_path}/empty"], f"run={tmp_path}/empty: holds no run"),
        (["run=/nowhere"], "run=/nowhere: holds no run"),
        (
            [f"run={objects['run'].path}"],
            f"run={objects['run'].path}: is a run of a text_generator; allowed: a run of one of",
        ),
    ):
        assert main([*words, f"out={out}"]) == 2
        stdout, stderr = capsys.readouterr()
        assert stdout == "" and stderr.startswith(f"error: {says}") and stderr.count("\n") == 1
    assert not out.exists()


def test_damage_is_told(run, tmp_path, capsys):
    copy = Run(shutil.copytree(run.path, tmp_path / "run"))
    copy.best.write_bytes(copy.best.read_bytes()[:-1])
    assert main([f"run={copy.path}", f"out={tmp_path}/out.csv"]) == 2
    assert capsys.readouterr().err.startswith(f"error: checkpoint=best: {copy.best} is damaged")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.slow
def test_other_data_are_refused(tmp_path):
    edges = [(0, 1), (1, 2), (2, 3)]
    graph = write_graph(tmp_path / "graph", edges, "abab", "ttve")
    words = (*OWN_GRAPH, "data=graph_csv", f"data.path={graph}", f"root={tmp_path}/runs", "trainer.max_steps=5")
    run = train(compose(*words))[1]["run"]
    assert len(predict(run, "all")) == 4
    write_graph(tmp_path / "graph", edges[:2], "abab", "ttve")
    with pytest.raises(UserError, match="the content is not what it was"):
        predict(run)


def test_changes_nothing_in_the_run(run):
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    predict(str(run.path))
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help(word, capsys):
    assert main([word]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Predict: ") and "run=DIR out=FILE" in out and err == ""


@pytest.mark.slow
@pytest.mark.parametrize(("target", "monitor"), [("regression", "r2"), ("multilabel", "auc")])
def test_several_targets_of_a_graph_of_ones_own(target, monitor, tmp_path, capsys):
    """A run on two columns, chosen by a metric of one's own, is evaluated and predicts each with its gaps."""
    graph, number = write_graph(tmp_path / "g", [(node, (node + 1) % 60) for node in range(60)], 60 * "a"), "{}"
    rows = [f"{number.format(node % 2)},{node % 3 // 2}" if node % 7 else f",{node % 3 // 2}" for node in range(60)]
    nodes = (graph / "nodes.csv").read_text().splitlines()
    columns = ["income,age", *rows]
    (graph / "nodes.csv").write_text("\n".join(map(",".join, zip(nodes, columns, strict=True))) + "\n")
    words = ["data=graph_csv", f"data.path={graph}", f"data.target={target}", "data.labels=[income,age]"]
    words += ["data.split=random", "data.split_sizes=[30,15,15]", "data.features.drop=[label]", "trainer.max_steps=4"]
    words += [f"task.extra_metrics=[{monitor}]", "task.metrics_by_target=true"]
    words += [f"callbacks.checkpoint={{monitor:val/{monitor}_of_age,mode:max}}"]
    result, objects = train(compose(*OWN_GRAPH, *words, f"root={tmp_path}"))
    assert f"val/{monitor}" in result["metrics"] and objects["run"].config().mode_of(f"val/{monitor}") == "max"
    tested = {name: value for name, value in result["metrics"].items() if name.startswith("test/")}
    assert evaluate(objects["run"]) == tested and f"test/{monitor}" in tested
    for name in ALWAYS[target] + (monitor,):
        each = [tested[f"test/{name_of_target(name, column)}"] for column in ("income", "age")]
        if name != "accuracy":  # that of all known labels, of which there are fewer of one target
            assert sum(each) / 2 == pytest.approx(tested[f"test/{name}"])
    rows = predict(objects["run"], split="all")
    names = ["target(income)", "prediction(income)", "target(age)", "prediction(age)"]
    if target == "multilabel":
        names = [*names[:2], "p(income)", *names[2:], "p(age)"]
        assert all(row["prediction(age)"] == (row["p(age)"] > 0.5) for row in rows)
    assert list(rows[0]) == ["id", "split", *names] and len(rows) == 60
    assert {row["id"] for row in rows if row["target(income)"] == ""} == {f"n{node}" for node in range(0, 60, 7)}
