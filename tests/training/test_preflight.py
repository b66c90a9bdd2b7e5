"""Test that what this machine cannot do is reported before a run begins."""

import pytest
import torch

from lightning_dl2 import evaluate, train
from lightning_dl2.common import system
from lightning_dl2.common.errors import UserError
from lightning_dl2.distributed.devices import Devices
from lightning_dl2.graphs import choose_engine
from lightning_dl2.run.directory import Run
from lightning_dl2.train import main
from lightning_dl2.training import preflight
from tests.conftest import TINY_GRAPH

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")

COUNTER = "_target_:tests.own_parts.Counter,name:mine"
SCHEDULE = "optimizer.schedule.name"
WRONG = {
    "optimizer.name=Foo": ["optimizer.name=Foo: is no", "AdamW"],
    "optimizer.name=Optimizer": ["optimizer.name=Optimizer: is no"],
    "optimizer.name=adam": ["optimizer.name=adam", "Adam,"],
    "+optimizer.arguments.momentum=0.9": ["optimizer.name=Adam", "{momentum:0.9}", "takes no momentum", "betas"],
    "+optimizer.arguments.betas=3": ["optimizer.name=Adam", "{betas:3}"],
    "+optimizer.arguments.betas=[0.9,2.0]": ["optimizer.name=Adam", "{betas:[0.9,2.0]}", "2.0"],
    "optimizer.name=SparseAdam": ["optimizer.name=SparseAdam", "dense"],
    "optimizer.name=tests.own_parts.Lyon": ["optimizer.name=tests.own_parts.Lyon: ", "did you mean Lion?"],
    "optimizer.name=torch.nn.Linear": ["optimizer.name=torch.nn.Linear: is no optimiser; allowed: a class"],
    "optimizer.name=tests.own_parts.NoRate": ["takes no lr", "optimizer.learning_rate"],
    "optimizer.name=tests.own_parts.Remembering": ["its state cannot be loaded from a checkpoint", "deque"],
    "optimizer.name=tests.own_parts.Lion +optimizer.arguments.beta=1": ["Lion takes no beta; allowed", "betas"],
    f"{SCHEDULE}=torch.optim.lr_scheduler.StepLR": [f"{SCHEDULE}=torch.optim.lr_scheduler.StepLR: ", "step_size"],
    f"{SCHEDULE}=torch.optim.SGD": ["SGD: is no schedule; allowed: a class that extends"],
    f"{SCHEDULE}=torch.optim.lr_scheduler.StepLR +optimizer.schedule.arguments.step=1": ["takes no step; allowed"],
    f"{SCHEDULE}=torch.optim.lr_scheduler.OneCycleLR +optimizer.schedule.arguments={{max_lr:1,total_steps:9}}": [
        "total_steps=9: allowed: trainer.max_steps=24 or more"
    ],
    f"{SCHEDULE}=tests.own_parts.ramp +optimizer.schedule.arguments.warmup=2 optimizer.schedule.monitor=val/loss": [
        "takes no metric, but monitor=val/loss; fix"
    ],
    "trainer.strategy=dpd": ["trainer.strategy=dpd: did you mean ddp? allowed: auto, ddp"],
    "trainer.strategy=fsdp": [
        "trainer.strategy=fsdp: splits the state",
        "one whole file; fix: use trainer.strategy=ddp",
    ],
    "trainer.strategy=ddp_spawn": ["would start processes of its own", "fix: use trainer.strategy=ddp"],
    "trainer.strategy=xla": ["trainer.strategy=xla: allowed: auto, ddp"],
    "trainer.strategy=torch.nn.Linear": ["allowed: a class of pytorch_lightning.strategies.Strategy"],
    "trainer.strategy=pytorch_lightning.strategies.FSDPStrategy": ["FSDPStrategy: splits the state"],
    "+trainer.arguments.inference_mod=false": ["has no argument inference_mod; did you mean inference_mode?"],
    "+trainer.arguments.inference_mode=no_": ["inference_mode=no_: allowed: a valid boolean"],
    "+trainer.arguments.reload_dataloaders_every_n_epochs=-1": ["-1", "should be an int >= 0"],
    "+trainer.arguments.sync_batchnorm=true": ["needs a GPU; allowed on a CPU: false"],
    "trainer.plugins=[torch.nn.ReLU]": ["trainer.plugins=[torch.nn.ReLU]: Found invalid type"],
    "trainer.plugins=[torch.nn.Foo]": ["trainer.plugins=[torch.nn.Foo]: torch.nn has no Foo"],
    "trainer.plugins=[pytorch_lightning.plugins.TorchCheckpointIO]": ["the package itself writes the checkpoints"],
    "trainer.plugins=[pytorch_lightning.plugins.DoublePrecision] trainer.precision=64": ["trainer.precision=64: "],
    f"+callbacks.a={{{COUNTER}}} +callbacks.b={{{COUNTER}}}": [
        "callbacks.b: has the state_key of callbacks.a, Counter"
    ],
    "+callbacks.a={_target_:tests.own_parts.Refusing}": ["callbacks.a: tests.own_parts.Refusing", "needs more"],
    "+callbacks.a={_target_:tests.own_parts.Lines,path:a}": ["makes a Lines; allowed: a pytorch_lightning.Callback"],
    f"+logger.a={{{COUNTER}}}": ["logger.a: tests.own_parts.Counter makes a Counter; allowed: a pytorch_lightning"],
    "trainer.devices=1000": ["trainer.devices=1000", "allowed: 1 to"],
}


def check(config):
    preflight.check(config, Devices(config.trainer))


@pytest.mark.slow
@pytest.mark.parametrize("word", WRONG)
def test_impossible(tiny, word):
    with pytest.raises(UserError) as error:
        check(tiny(*word.split()))
    for part in WRONG[word]:
        assert part in str(error.value)


@NO_GPU
@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("trainer.accelerator=mps", "trainer.accelerator=mps: .* allowed: cpu, gpu, auto"),
        ("trainer.accelerator=gpu", "trainer.accelerator=gpu: .* allowed: cpu, auto"),
        ("trainer.precision=16-mixed", "trainer.precision=16-mixed: .* 32, bf16-mixed, 64"),
    ],
)
def test_impossible_without_a_gpu(tiny, word, says):
    with pytest.raises(UserError, match=says):
        check(tiny(word))


@pytest.mark.slow
@pytest.mark.parametrize(
    "word",
    ["optimizer=sgd", "optimizer=rmsprop", "optimizer=adamw", "optimizer=muon", "optimizer.name=LBFGS",
     "+optimizer.arguments.eps=1e-6", "trainer.accelerator=auto", "trainer.precision=bf16-mixed",
     "trainer.devices=auto", "trainer.strategy=ddp_find_unused_parameters_true",
     "trainer.strategy=pytorch_lightning.strategies.DDPStrategy", "+trainer.arguments.min_steps=5",
     "trainer.plugins=[pytorch_lightning.plugins.DoublePrecision]"],
)  # fmt: skip
def test_possible(tiny, word):
    check(tiny(word))


def test_an_engine_that_is_not_to_be_had(tiny_graph, tmp_path, capsys, monkeypatch):
    """A missing engine is one line with a fix; auto and torch work, and tasks without graphs are not checked."""
    monkeypatch.setattr(choose_engine, "dgl_available", lambda: False)
    monkeypatch.setattr(choose_engine, "why_no_dgl", lambda: "dgl is not installed")
    with pytest.raises(UserError, match="^task.engine=dgl: dgl is not installed; allowed: auto, torch$"):
        check(tiny_graph("task.engine=dgl"))
    for engine in ("auto", "torch"):
        check(tiny_graph(f"task.engine={engine}"))
    assert main([*TINY_GRAPH, "task.engine=dgl", f"root={tmp_path}/runs"]) == 2
    assert capsys.readouterr() == ("", "error: task.engine=dgl: dgl is not installed; allowed: auto, torch\n")
    assert not (tmp_path / "runs").exists()


def test_an_engine_without_cuda(tiny_graph, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(choose_engine, "dgl_available", lambda: True)
    monkeypatch.setattr(choose_engine, "dgl_has_cuda", lambda: False)
    with pytest.raises(UserError, match="task.engine=dgl: the installed dgl has no support for cuda; allowed: auto"):
        check(tiny_graph("trainer.accelerator=gpu", "task.engine=dgl"))
    check(tiny_graph("trainer.accelerator=gpu"))


def test_versions_and_device():
    assert system.versions()["torch"] == torch.__version__
    assert system.device_name(torch.device("cpu")).startswith("cpu, ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "instead"),
    [("FAST_DEV_RUN", "debug=fast"), ("MAX_STEPS", "trainer.max_steps=VALUE"), ("BAREBONES", "a key of conf/")],
)
def test_variables_that_change_the_trainer_are_refused(tiny, monkeypatch, name, instead):
    """Environment variables that Lightning takes for missing arguments are refused: a run would end after one step."""
    config = tiny("trainer.max_steps=2")
    result, objects = train(config)
    monkeypatch.setenv(f"PL_TRAINER_{name}", "1")
    says = f"PL_TRAINER_{name}=1: changes the Trainer behind the configuration; fix: unset it, use {instead}"
    for call in (lambda: train(tiny("trainer.max_steps=2", "seed=1")), lambda: evaluate(objects["run"])):
        with pytest.raises(UserError, match=says):
            call()
    assert not Run.of(tiny("trainer.max_steps=2", "seed=1")).path.exists()
    assert train(config)[0] == result  # a complete run builds nothing
    monkeypatch.setenv(f"PL_TRAINER_{name}", "")
    assert evaluate(objects["run"])
