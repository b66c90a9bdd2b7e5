"""Test graph tasks: learning, the golden step, metrics of the whole set, and self-contained checkpoints."""

import importlib.util
from collections.abc import Callable

import pytest
import pytorch_lightning as pl
import torch
from torch.nn import functional as F
from torchmetrics.functional import mean_absolute_error
from torchmetrics.functional.classification import multiclass_accuracy

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.schema.effects import find_ineffective
from lightning_dl2.data.graphs.graph_data_module import GraphDataModule
from lightning_dl2.graphs import SparseMatrix
from lightning_dl2.nets import LAYERS
from lightning_dl2.tasks import GraphNet
from lightning_dl2.tasks.build import build_task
from tests.small import BLOCK_MODEL, NEEDS_DGL, small_graph, small_graph_net, small_graph_set, small_trainer
from tests.tasks.test_sequence_classifier import plain

ENGINES = ["torch", pytest.param("dgl", marks=NEEDS_DGL)]

WALK = {"kind": "random_walk", "size": 8}

# The data, and the net: one graph, sampled or not, many graphs, nodes of many graphs, numbers.
CASES = {
    "nodes": ("graph", {"block_model": BLOCK_MODEL | {"signal": 4.0}}, {"layer": "gcn"}),
    "sampled": ("graph", {"fanouts": [3, 3]}, {"layer": "sage"}),
    "graphs": ("graphs", {"max_nodes": 7}, {"layer": "gin", "readout": "sum"}),
    "pattern": (
        "pattern",
        {"num_graphs": 14, "min_nodes": 1, "max_nodes": 3, "batch_size": 1, "positional": WALK},
        {"layer": "gatedgcn", "residual": True, "norm": "batch", "output_layer": "linear"},
    ),
    "regression": ("zinc", {}, {"layer": "gine", "readout": "mean"}),
}
NAMES = [*CASES]


@pytest.fixture
def case(molecules) -> Callable[..., tuple[GraphDataModule, dict]]:
    """Return `case(name, ...)`: the data of a case with further options, and the arguments of its net."""

    def built(name: str, **options) -> tuple[GraphDataModule, dict]:
        kind, sizes, net = CASES[name]
        builders = {
            "graph": small_graph,
            "graphs": small_graph_set,
            "pattern": lambda **o: small_graph_set("pattern", **o),
            "zinc": lambda **o: small_graph_set("zinc", path=str(molecules), **o),
        }
        return builders[kind](**sizes | options), net

    return built


def loss_of(task: GraphNet, batch) -> torch.Tensor:
    outputs = task(batch)
    return (
        F.cross_entropy(outputs, batch.targets)
        if task.targets.kind == "classification"
        else F.l1_loss(outputs, batch.targets)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nodes", "graphs", "pattern", "regression"])
def test_overfits_a_fixed_batch(case, name):
    data, net = case(name)
    rule = {"learning_rate": 0.03 if name == "graphs" else 0.06, "schedule": {"name": "linear", "total_steps": 80}}
    task = small_graph_net(data, hidden_size=32, optimizer=rule, **net)
    small_trainer(overfit_batches=1, max_steps=80, limit_val_batches=0, gradient_clip_val=1.0).fit(task, data)
    with torch.no_grad():
        assert loss_of(task.eval(), data.train_batch(0)).item() < 0.05


# Parameters, loss, gradient norm, loss of the same batch after one step of Adam at 0.01.
GOLDEN = {
    "nodes": (67, 1.4146, 1.6542, 1.3386),
    "sampled": (123, 0.3366, 0.4925, 0.3037),
    "graphs": (378, 2.1994, 5.9089, 2.1546),
    "pattern": (890, 0.6346, 0.5918, 0.5945),
    "regression": (355, 1.3813, 1.3505, 1.3114),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NAMES)
def test_golden_step(case, name, engine):
    data, net = case(name)
    task = small_graph_net(data, engine=engine, optimizer={"learning_rate": 0.01}, **net)
    small_trainer(max_steps=1, limit_val_batches=0, log_every_n_steps=1).fit(task, data)
    metrics = task.trainer.callback_metrics
    found = (
        sum(p.numel() for p in task.parameters()),
        round(metrics["train/loss"].item(), 4),
        round(metrics["train/gradient_norm"].item(), 4),
        round(loss_of(task, data.train_batch(0)).item(), 4),
    )
    assert found == pytest.approx(GOLDEN[name], abs=2e-4), (
        f"one step of {name} gives other numbers: {found}.\n"
        f"A refactoring must not do this. If the change is meant, write them into GOLDEN and say why in the commit."
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_metrics_are_those_of_the_whole_set(case, name):
    """With batches of unequal sizes, metrics are those of the whole set, not means of batches."""
    options = {"num_graphs": 50} if name in ("graphs", "pattern") else {}
    sizes, all_at_once = {"evaluation_batch_size": 2}, {"evaluation_batch_size": 100}
    if name in ("nodes", "sampled"):
        sizes = all_at_once = {}
    (data, net), (whole, _) = case(name, **options | sizes), case(name, **options | all_at_once)
    task = small_graph_net(data, **net)
    small_trainer(max_steps=5, limit_val_batches=0).fit(task, data)  # a trained net predicts several classes
    trainer = small_trainer()
    for split, call in (("val", trainer.validate), ("test", trainer.test)):
        (metrics,) = call(task, data, verbose=False)
        (batch,) = whole.evaluation_batches(split)
        with torch.no_grad():
            outputs, targets = task.eval()(batch), batch.targets
        expected = {"loss": loss_of(task, batch).item()}
        if task.targets.kind == "classification":
            classes = data.spec["num_outputs"]
            expected |= {
                "accuracy": multiclass_accuracy(outputs, targets, num_classes=classes, average="micro").item(),
                "macro_accuracy": multiclass_accuracy(outputs, targets, num_classes=classes, average="macro").item(),
            }
            assert expected["accuracy"] == pytest.approx((outputs.argmax(1) == targets).float().mean().item())
        else:
            expected["mean_absolute_error"] = mean_absolute_error(outputs, targets).item()
            assert expected["mean_absolute_error"] == pytest.approx((outputs - targets).abs().mean().item())
        if split == "test":
            expected |= data.baselines()
        assert metrics == pytest.approx({f"{split}/{key}": value for key, value in expected.items()}, rel=1e-5)
        parts = data.evaluation_batches(split)
        if sizes:
            assert len({len(part) for part in parts}) > 1
            means = [loss_of(task, part).item() for part in parts]
            assert sum(means) / len(means) != pytest.approx(expected["loss"], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["graphs", "regression"])
def test_metrics_do_not_depend_on_the_batch(case, name):
    (data, net), found = case(name), []
    task = small_graph_net(data, **net)
    for size in (1, 4, 100):
        found += small_trainer().test(task, case(name, evaluation_batch_size=size)[0], verbose=False)
    assert found[0] == pytest.approx(found[1], rel=1e-5) and found[1] == pytest.approx(found[2], rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_size_of_a_batch_is_told(case, name, monkeypatch):
    """The size of a batch is reported, because Lightning would take a graph's number of nodes, or nothing."""
    told = []
    monkeypatch.setattr(GraphNet, "log_dict", lambda self, values, batch_size=None, **rest: told.append(batch_size))
    data, net = case(name)
    task = small_graph_net(data, **net).eval()
    batches = data.evaluation_batches("test")
    for number, batch in enumerate(batches):
        task.test_step(batch, number)
        task.validation_step(batch, number)
    assert told == [len(batch.targets) for batch in batches for _ in range(2)]
    assert sum(told) == 2 * len(data._targets("test"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_off_in_evaluation(case, name):
    data, net = case(name)
    task = small_graph_net(data, dropout=0.5, input_dropout=0.5, **net)
    batch = next(iter(data.test_dataloader()))
    assert not torch.equal(task.train()(batch), task(batch))
    trainer = small_trainer()
    first, second = (trainer.test(task, data, verbose=False)[0] for _ in range(2))
    assert first == second and torch.equal(task.eval()(batch), task(batch))


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [17, 1000])
@pytest.mark.parametrize("layer", ["gcn", "sage", "gatedgcn"])
def test_evaluation_in_chunks_is_that_of_the_whole_graph(layer, chunk):
    whole, chunks = small_graph(), small_graph(evaluation_chunk=chunk)
    task = small_graph_net(whole, layer=layer, norm="batch", dropout=0.5, output_layer="linear")
    trainer = small_trainer(max_steps=3)
    trainer.fit(task, chunks)
    one, other = (trainer.test(task, data, verbose=False)[0] for data in (whole, chunks))
    assert one == pytest.approx(other, rel=1e-5) and one["test/accuracy"] == other["test/accuracy"]
    with torch.no_grad():
        for split in ("val", "test"):
            outputs = [task.eval()(data.evaluation_batches(split)[0]) for data in (whole, chunks)]
            torch.testing.assert_close(*outputs)


@pytest.mark.parametrize("layer", LAYERS)
def test_every_parameter_has_a_gradient(layer, molecules):
    """Every parameter has a gradient, without which DDP hangs or refuses to train."""
    net = {"input_layer": True, "output_layer": "mlp", "norm": "batch", "residual": True, "layer": layer}
    cases = [small_graph(), small_graph_set("zinc", path=str(molecules))]
    if importlib.util.find_spec("dgl"):
        cases.append(small_graph(fanouts=[3, 3]))
    for data in cases:
        task = small_graph_net(data, **net)
        task.training_step(data.train_batch(0), 0)["loss"].backward()
        assert [name for name, parameter in task.named_parameters() if parameter.grad is None] == []


def test_balanced_classes_weigh_the_same():
    """Classes weigh 1 / (C share); on all training items this is torch's weighted mean with divisor M."""
    data = small_graph_set(batch_size=4, num_graphs=50)
    task = small_graph_net(data, class_weights="balanced")
    whole = small_graph_set(batch_size=50, num_graphs=50).train_batch(0)
    shares = whole.targets.bincount() / len(whole)
    assert len(shares) == 8 and shares.max() > 1.3 * shares.min()
    torch.testing.assert_close(task.targets.class_weights, 1 / (8 * shares))
    logits = task(whole)
    found = task.training_step(whole, 0)["loss"]
    torch.testing.assert_close(found, F.cross_entropy(logits, whole.targets, weight=1 / shares))
    per_class = [F.cross_entropy(logits[whole.targets == c], whole.targets[whole.targets == c]) for c in range(8)]
    torch.testing.assert_close(found, torch.stack(per_class).mean())
    plainly = small_graph_net(data)
    assert plainly.targets.class_weights is None and plainly.training_step(whole, 0)["loss"] != found
    # However the set is split, weighting each part by its size accumulates the gradient of the whole.
    parts = [data.train_batch(step) for step in range(data.batches_per_epoch)]
    losses = [task.training_step(part, 0)["loss"] * len(part) / len(whole) for part in parts]
    torch.testing.assert_close(torch.stack(losses).sum(), found)


def test_balanced_classes_do_not_change_what_is_validated():
    data = small_graph_set()
    found = [
        small_trainer().validate(small_graph_net(data, class_weights=weights), data, verbose=False)[0]
        for weights in ("none", "balanced")
    ]
    assert found[0] == found[1]


def test_a_class_that_is_not_trained_on_weighs_nothing():
    data = small_graph()
    spec = data.spec | {"class_shares": [0.5, 0.0, 0.5]}
    task = GraphNet(spec=spec, hidden_size=8, class_weights="balanced")
    torch.testing.assert_close(task.targets.class_weights, torch.tensor([2 / 3, 0.0, 2 / 3]))


def test_weights_of_processes_scale_the_loss():
    """A rank with fewer items has a smaller weight in the mean over the ranks."""
    data = small_graph()
    batch = data.train_batch(0)
    task = small_graph_net(data).eval()
    half = data._batch(batch.ids, 0.5, 0)
    torch.testing.assert_close(task.training_step(half, 0)["loss"] * 2, task.training_step(batch, 0)["loss"])
    assert task.training_step(half, 0)["accuracy"] == task.training_step(batch, 0)["accuracy"]


def test_probabilities_name_the_class_of_the_largest_logit():
    """The class is that of the largest logit, even if float32 probabilities are equal."""
    data = small_graph()
    task = small_graph_net(data).eval()
    low = torch.tensor(0.1)
    logits = torch.stack([low, torch.nextafter(low, torch.tensor(1.0)), low - 1]).expand(24, 3)
    assert (logits.softmax(-1)[0, :2].diff() == 0).all()
    task.forward = lambda batch: logits
    ids, _, probabilities = task.predict_step(data.train_batch(0), 0)
    assert torch.equal(ids, data.splits["train"]) and (probabilities.argmax(-1) == 1).all()
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(24).double(), rtol=1e-14, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("precision", "dtype"), [("64-true", torch.float64), ("bf16-mixed", torch.float32)])
def test_other_precisions_train(case, name, precision, dtype):
    data, net = case(name)
    task = small_graph_net(data, **net)
    trainer = small_trainer(precision=precision, max_steps=2, limit_val_batches=0)
    trainer.fit(task, data)
    assert all(p.dtype == dtype and p.isfinite().all() for p in task.parameters())
    (metrics,) = trainer.test(task, data, verbose=False)
    (batch, *_), (expected,) = data.evaluation_batches("test"), small_trainer().test(task.float(), data, verbose=False)
    assert metrics["test/loss"] == pytest.approx(expected["test/loss"], rel=1e-5 if dtype == torch.float64 else 0.02)
    with torch.no_grad():
        wide = task.double().eval()(batch)
        torch.testing.assert_close(task.float()(batch), wide.float(), rtol=1e-4, atol=1e-5)
    assert wide.dtype == torch.float64


def test_sparse_features_and_chunks_in_double_precision():
    data = small_graph(evaluation_chunk=20)
    data.graph = data.graph.replace(ndata={"features": SparseMatrix.from_dense(data.graph.ndata["features"])})
    task = small_graph_net(data)
    small_trainer(precision="64-true", max_steps=2).fit(task, data)
    (batch,) = data.evaluation_batches("test")
    assert batch.chunk == 20 and task.eval()(batch).dtype == torch.float64


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_lightnings_plain_trainer_is_enough(case, name, tmp_path, monkeypatch):
    """Lightning's plain Trainer works, including its sanity check before the first step."""
    monkeypatch.chdir(tmp_path)
    data, net = case(name)
    trainer = pl.Trainer(max_epochs=2, logger=False, enable_checkpointing=False)
    trainer.fit(GraphNet(spec=data.spec, **{"output_layer": "linear"} | net), data)
    assert trainer.global_step == 2 * data.batches_per_epoch
    metrics = {"accuracy", "macro_accuracy"} if name != "regression" else {"mean_absolute_error"}
    assert {f"val/{metric}" for metric in {"loss", *metrics}} <= set(trainer.callback_metrics)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_is_all_that_is_needed(case, name, tmp_path):
    data, net = case(name)
    schedule = {"name": "linear", "total_steps": 9}
    task = small_graph_net(data, optimizer={"weight_decay_of": {"layers": 0.1}, "schedule": schedule}, **net)
    trainer = small_trainer(max_steps=2)
    trainer.fit(task, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    loaded = GraphNet.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert dict(loaded.hparams) == dict(task.hparams) and loaded.hparams["spec"] == data.spec
    assert plain(dict(loaded.hparams))
    batch = data.evaluation_batches("test")[0]
    assert torch.equal(loaded.eval()(batch), task.eval()(batch))


@pytest.mark.slow
def test_build_task_is_the_configuration(tiny_graph):
    config = tiny_graph("task.layer=gatv2", "task.heads=4", "optimizer.weight_decay=0.25")
    data = small_graph()
    task = build_task(config.task, config.optimizer, data.spec)
    assert task.net.layers[0].convolution.num_heads == 4 and plain(dict(task.hparams))
    assert task.hparams["optimizer"]["weight_decay"] == 0.25 and task.hparams["class_weights"] == "none"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["task.layer=gcnii"], "task: layer='gcnii' needs input_layer=True and output_layer linear or mlp"),
        (
            ["task.layer=gat", "task.heads=3", "task.output_layer=mlp"],
            "task: heads is 3; it must divide the 8 features",
        ),
        (["task.jumping_knowledge=cat"], "task: output_layer is 'none'; jumping_knowledge='cat' needs linear or mlp"),
        (
            ["+optimizer.weight_decay_of.layer=0.1", "task.output_layer=linear", "task.input_layer=true"],
            "optimizer.weight_decay_of: the net has no part layer; allowed: inputs, layers, output",
        ),
    ],
)
def test_a_net_that_cannot_be_built(tiny_graph, words, says):
    config = tiny_graph(*words)
    with pytest.raises(UserError) as error:
        build_task(config.task, config.optimizer, small_graph().spec)
    assert str(error.value).startswith(says)


OWN = "tests.own_graph_parts."


@pytest.mark.slow
@pytest.mark.parametrize("fanouts", [None, [3, 3]])
def test_an_own_layer_learns_the_same_bits_as_the_packages(fanouts):
    found = []
    for layer in ("gcn", OWN + "Copied"):
        data = small_graph(fanouts=fanouts, evaluation_chunk=20)
        task = small_graph_net(data, layer=layer)
        task.check_data(data)
        small_trainer(max_steps=3).fit(task, data)
        found.append([*task.state_dict().values(), task.eval()(data.evaluation_batches("test")[0])])
    assert all(map(torch.equal, *found)) and plain(dict(task.hparams))


@pytest.mark.parametrize(
    ("layer", "options", "says"),
    [
        ("ByDegree", {"evaluation_chunk": 20}, "data.evaluation_chunk: allowed with task.layer={}: null; the layer"),
        ("WholeOnly", {"fanouts": [3, 3]}, "data.fanouts: allowed with task.layer={}: null; the layer fails on"),
    ],
)  # fmt: skip
def test_an_own_layer_that_cannot_read_a_part_of_the_graph(layer, options, says):
    data = small_graph(**options)
    with pytest.raises(UserError) as error:
        small_graph_net(data, layer=OWN + layer).check_data(data)
    assert str(error.value).startswith(says.format(OWN + layer))


def test_keys_have_an_effect_with_an_own_layer_that_takes_them(tiny_graph):
    keys = ["task.heads=2", "task.output_heads=2", f"task.layer={OWN}Attentive"]
    assert "task.heads" not in find_ineffective(tiny_graph(*keys))
    assert "task.heads" in find_ineffective(tiny_graph("task.heads=2", f"task.layer={OWN}Mean"))
    with pytest.raises(UserError, match=r"^task.layer=.*Missing.*: tests.own_graph_parts has no Missing; did you mean"):
        tiny_graph(f"task.layer={OWN}Missing")
    with pytest.raises(UserError, match=r"^task.readout=\"avg\": .*allowed: mean, sum.*, or a dotted path as"):
        tiny_graph("task.readout=avg")
