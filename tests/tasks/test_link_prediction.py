"""Test link prediction as a task: learning, metrics of the whole split, ranks, resume, predictions and files."""

from csv import DictReader

import networkx
import pytest
import pytorch_lightning as pl
import torch
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from lightning_dl2 import GraphNet, LinkDataModule, UserError, compose, evaluate, predict, train
from lightning_dl2.config.schema.targets import ALWAYS
from lightning_dl2.predict import main
from tests.comparison import checkpoint_differences, metrics_differences
from tests.small import BLOCK_MODEL, small_trainer

SHARES = {"validation_share": 0.15, "test_share": 0.15}


def small_links(**options) -> LinkDataModule:
    model = BLOCK_MODEL | {"signal": 3.0, "homophily": 1.0}
    return LinkDataModule("sbm", **{"block_model": model, "edges": SHARES, "batch_size": 30} | options)


def small_task(data: LinkDataModule, **options) -> GraphNet:
    pl.seed_everything(0, verbose=False)
    return GraphNet(data.spec, **{"embedding_size": 8, "optimizer": {"learning_rate": 0.03}} | options)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"decoder": "mlp"}, {"decoder": "dot", "layer": "sage"}], ids=["mlp", "dot"])
def test_a_net_learns_the_communities(options):
    data = small_links()
    task = small_task(data, **options)
    trainer = small_trainer(max_steps=60)
    trainer.fit(task, data)
    (found,) = trainer.test(task, data, verbose=False)
    assert found["test/auc"] > 0.75  # every pair within a community is as likely: about 0.83 can be had
    assert set(found) == {
        f"test/{name}" for name in (*ALWAYS["link"], "loss", "adamic_adar_baseline", "no_graph_baseline")
    }


def test_metrics_are_those_of_all_pairs_of_the_split():
    data = small_links(fanouts=None)
    task = small_task(data, extra_metrics=["hits_3"]).eval()
    (batch,) = data.evaluation_batches("val")
    with torch.no_grad():
        logits, labels = task(batch), batch.targets
    (found,) = small_trainer().validate(task, data, verbose=False)
    probabilities = logits.double().sigmoid()
    expected = {
        "loss": torch.nn.functional.binary_cross_entropy_with_logits(logits, labels),
        "auc": binary_auroc(probabilities, labels.long()),
        "average_precision": binary_average_precision(probabilities, labels.long()),
        "hits_3": (logits[labels == 1] > logits[labels == 0].sort().values[-3]).float().mean(),
    }
    for name, value in expected.items():
        assert found[f"val/{name}"] == pytest.approx(value.item(), abs=1e-6), name
    ids, targets, scores = task.predict_step(batch, 0)
    assert torch.equal(ids, data.splits["val"]) and torch.equal(targets, labels)
    assert scores.detach().tolist() == pytest.approx(probabilities.tolist())


def test_the_losses_of_ranks_add_up_to_that_of_one_process():
    data = small_links()
    task = small_task(data).eval()
    whole, parts = data.train_batch(2), []
    for rank in range(3):
        data.placed_at = rank, 3
        data.batch_size = 10
        parts.append(data.train_batch(2))
    losses = [task.training_step(part, 0)["loss"] for part in parts]
    torch.testing.assert_close(sum(losses) / 3, task.training_step(whole, 0)["loss"])


TINY = ("experiment=link_prediction", "data=sbm", "data.batch_size=50", "trainer.num_threads=1", "task.dropout=0")
TINY += tuple(f"data.block_model.{key}={BLOCK_MODEL[key]}" for key in ("num_nodes", "num_feats"))
TINY += ("trainer.max_steps=12", "trainer.val_check_interval=4", "callbacks.curves=false", "data.edges.test_share=0.2")


@pytest.mark.slow
def test_a_run_resumes_exactly_and_its_pairs_are_predicted(tmp_path, capsys):
    (_, whole), parts = train(compose(*TINY, f"root={tmp_path}/whole")), None
    for steps in (5, 8, 12):
        _, parts = train(compose(*TINY, f"root={tmp_path}/parts", f"trainer.max_steps={steps}"))
    run = parts["run"]
    assert checkpoint_differences(whole["run"], run) == [] and metrics_differences(whole["run"], run) == []
    found = evaluate(run)
    assert found["test/auc"] == run.result()["metrics"]["test/auc"]
    rows = predict(run)
    assert list(rows[0]) == ["src", "dst", "split", "target", "prediction"]
    links, negatives = ([row["prediction"] for row in rows if row["target"] == target] for target in (1, 0))
    wins = [(a > b) + (a == b) / 2 for a in links for b in negatives]
    assert len(links) == len(negatives) and sum(wins) / len(wins) == pytest.approx(found["test/auc"], abs=1e-6)
    with pytest.raises(UserError, match="the predictions are of pairs of nodes"):
        predict(run, embeddings=tmp_path / "a.npz")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("".join(f"{row['src']},{row['dst']}\n" for row in rows))
    command = [f"run={run.path}", f"pairs={pairs}"]
    assert main([*command, f"out={tmp_path}/scores.csv"]) == 0
    with open(tmp_path / "scores.csv", encoding="utf-8", newline="") as file:
        scores = [float(row["prediction"]) for row in DictReader(file)]
    assert scores == [row["prediction"] for row in rows]  # the messages are those of the test
    told = f"{len(links)} of the {len(rows)} pairs have an edge here; AUC {found['test/auc']:.4f}"
    assert f"note: {told}\n" in capsys.readouterr().err
    assert main([*command, "out=-", "split=test"]) == 2 and "are in no split" in capsys.readouterr().err


def test_a_graph_in_memory_needs_no_labels():
    club = networkx.karate_club_graph()
    data = LinkDataModule.from_graph(club, edges={"validation_share": 0.1})
    assert data.spec["sizes"] == {"train": 64, "val": 14, "test": 14} and not data.directed
    assert "undirected links: 64 train, 7 val, 7 test" in data.note and "not read: club" in data.note
    assert small_task(data)(data.train_batch(0)).shape == (26,)
