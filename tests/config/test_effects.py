"""Test that keys without effect are refused if typed, and reported if set in files."""

import pytest

from lightning_dl2.builtin.effect_rules import RULES as BUILT_IN
from lightning_dl2.common.errors import UserError
from lightning_dl2.config.compose import compose, describe_ineffective
from lightning_dl2.config.older_runs import upgrade_config
from lightning_dl2.config.overrides import flatten
from lightning_dl2.config.schema.effect_rules import TRAINING
from lightning_dl2.run.directory import Run
from lightning_dl2.sweeps.grid import Grid
from lightning_dl2.sweeps.overrides import read_overrides
from lightning_dl2.train import main
from tests.conftest import completed_values

RULES = (*BUILT_IN, *TRAINING)

LINKS = "data.level=link callbacks.checkpoint.monitor=val/auc"
# Overrides without effect, each typed alone behind the outer key's, and the override that gives it an effect.
BY_LOSS = "callbacks.checkpoint={monitor:val/loss,mode:min}"
IDLE = {
    "": {
        "task.dropout=0.7": "task.num_layers=2",
        "task.reset_after=false": "task.cell=gru",
        "task.peephole=assignment": "task.cell=peephole",
        "optimizer.schedule.decay=0.5": "optimizer.schedule.name=plateau",
        "optimizer.schedule.decay_every=9": "optimizer.schedule.name=exponential",
        "optimizer.schedule.patience=9": "optimizer.schedule.name=plateau",
        "optimizer.schedule.mode=max": "optimizer.schedule.name=plateau",
        "optimizer.schedule.interval=epoch": "optimizer.schedule.name=a.B",
        "optimizer.schedule.warmup_steps=9 optimizer.schedule.name=a.B": "optimizer.schedule.name=constant",
        "optimizer.schedule.final_factor=0.5": "optimizer.schedule={name:linear,total_steps:9}",
        "data.curriculum.growth=3": "data.curriculum.enabled=true",
        "callbacks.early_stopping.patience=3": "callbacks.early_stopping.enabled=true",
        "callbacks.weight_averaging={decay:0.5}": "callbacks.weight_averaging.enabled=true",
        "callbacks.weight_noise.std=0.2": "callbacks.weight_noise.enabled=true",
        "callbacks.gradient_flow.every_n_steps=7": "callbacks.gradient_flow.enabled=true",
        "logger.project=mine": "logger=wandb",
        "logger.run_name=a": "logger=wandb",
        "logger.job_type=a": "logger=wandb",
        "logger.notes=a": "logger=wandb",
    },
    "task.cell=rnn": {"task.forget_bias=2": "task.cell=lstm"},
    "task.cell=bilstm": {"task.bidirectional=true": "task.cell=lstm"},
    "task.cell=lru task.forget_bias=null": {"task.bias=false": "task.cell=lstm"},
    "task.encoding=one_hot": {"task.embedding_size=7": "task.encoding=embedding"},
    "callbacks.checkpoint.monitor=null": {
        "callbacks.checkpoint.mode=max": "callbacks.checkpoint.monitor=val/accuracy callbacks.checkpoint.mode=max"
    },
    "callbacks.solved.enabled=false": {"callbacks.solved.threshold=0.5": "callbacks.solved.enabled=true"},
    "data.curriculum.enabled=true": {
        "data.curriculum.minimum_batch_size=7": "data.curriculum.tokens_per_batch=99",
        "data.curriculum.shortest=0.5 data.curriculum.start=21": "data.curriculum.start=9",
    },
    "trainer.gradient_clip_val=null": {"trainer.gradient_clip_algorithm=value": "trainer.gradient_clip_val=1"},
    "trainer.overfit_batches=1": {"trainer.limit_train_batches=5": "trainer.overfit_batches=0"},
    "data.training_size=64": {"data.batches_per_epoch=7": "data.training_size=null"},
    "experiment=recall/adding callbacks.solved.enabled=false callbacks.checkpoint.monitor=val/loss": {
        "task.label_smoothing=0.1": "data=decimal_palindrome task=sequence_classifier"
    },
    "experiment=sequence_file data.path=a.npz": {"data.tokens=words": "data.path=a.csv"},
    "experiment=text": {
        "task.skip_connections=true": "task.num_layers=2",
        "data.validation_fraction=0.2 data.splits=files": "data.splits=position",
        "data.encoding=latin-1 data.tokens=bytes": "data.tokens=characters",
        "data.evaluation_warmup=9 data.evaluation_batch_size=1": "data.evaluation_batch_size=2",
        "task.locked_dropout=true task.output_dropout=0": "task.output_dropout=0.5",
        "callbacks.samples.length=7 callbacks.samples.enabled=false": "callbacks.samples.enabled=true",
        "callbacks.samples.length=7 callbacks.samples.prompts=[]": "callbacks.samples.prompts=[a]",
        "callbacks.samples.greedy_length=7 callbacks.samples.num_greedy=0": "callbacks.samples.num_greedy=1",
        "optimizer.schedule.total_steps=7 optimizer.schedule={name:constant,warmup_steps:0}": (
            "optimizer.schedule.name=linear"
        ),
    },
    "experiment=graph": {
        "task.heads=4": "task.layer=gat",
        "task.output_heads=4": "task.layer=gatv2",
        "task.attention_dropout=0.4": "task.layer=gat",
        "task.alpha=0.4": "task.layer=gcnii task.output_layer=linear",
        "task.readout=max": "data=minigc task.output_layer=linear",
        "task.jumping_knowledge=cat task.num_layers=1": "task.num_layers=2",
        "task.activation=elu task.num_layers=1": "task.num_layers=2",
        "task.norm=layer task.num_layers=1": "task.layer=gin",
        "task.hidden_size=5 task.num_layers=1": "task.input_layer=true",
        "task.self_loops=true task.layer=mlp": "task.layer=sage",
        "task.edge_features=false": "task.layer=gine data=graph_csv",
        "task.loss=mse": f"data=zinc data.path=a.npz task.output_layer=linear {BY_LOSS}",
        "data.labels=[a,b]": "data=graph_file",
        f"data.train_per_class=9 data=graph_file data.split=random data.target=regression {BY_LOSS}": (
            "data.target=classification"
        ),
        "data.batch_size=9": "data.fanouts=[3,3]",
        "data.draw_by_weight=true data.replace=true": (
            "data=graph_csv data.path=DIR data.edge_weight=w data.fanouts=[3,3] task.layer=sage"
        ),
        "data.undirected=false data.repeated_edges=keep": "data=graph_csv",
        "data.features.degrees=true": "data=graph_csv",
        "data.edge_weight=w": "data=graph_csv",
        "data.split_index=1": "data=graph_csv data.split=public",
        "data.train_per_class=9 data.split_sizes=[9,9,9]": "data.split_sizes=null",
        "data.train_per_class=9 data.split=public": "data.split=random",
    },
    "experiment=cora": {"data.block_model.signal=0.1": "data=sbm"},
    "experiment=graph task.layer=gcn": {
        "data.edges.negatives=2": LINKS,
        "data.edges.test_share=0.2": LINKS,
        "task.embedding_size=8": LINKS,
    },
    "experiment=link_prediction": {"data.split=random": "data.level=node callbacks.checkpoint.monitor=val/accuracy"},
    "experiment=link_prediction task.decoder=dot": {"task.decoder_dropout=0.1": "task.decoder=mlp"},
    "experiment=mutag": {
        "data.num_graphs=9 data.min_nodes=5": "data=minigc",
        "data.splits_file=a.json": "data=nci1",
        "data=minigc data.node_attributes=false data.standardize=true": "data=enzymes",
        "data.num_folds=5 data.path=a data.splits_file=a.json": "data.splits_file=null",
    },
    "experiment=exp": {
        "data.num_folds=5": "data=csl callbacks.checkpoint.monitor=val/loss",
        "task.subgraph_hops=2 task.subgraphs=none": "task.subgraphs=edge",
    },
    "experiment=zinc": {
        "data.undirected=false": "data=tu callbacks.checkpoint.monitor=val/loss",
        "data.fold=2": "data=csl callbacks.checkpoint.monitor=val/loss",
        "task.class_weights=balanced": "data=csl callbacks.checkpoint.monitor=val/loss",
        "task.input_layer=false": "data=csl callbacks.checkpoint.monitor=val/loss",
    },
}
CASES = [(chosen, idle, cure) for chosen, words in IDLE.items() for idle, cure in words.items()]


@pytest.mark.slow
def test_typed_without_effect_is_refused_and_with_its_condition_taken():
    for chosen, idle, cure in CASES:
        words = [*chosen.split(), *idle.split()]
        with pytest.raises(UserError) as told:
            compose(*words)
        key = idle.split()[0].partition("=")[0]
        line = str(told.value)
        assert line.startswith(key) and "has no effect with" in line and "; fix: " in line, (words, line)
        given = {word.partition("=")[0] for word in cure.split()}
        compose(*(word for word in words if word.partition("=")[0] not in given), *cure.split())


@pytest.mark.slow
def test_every_rule_has_a_case():
    """Every rule has a case, and names only existing keys."""
    covered = set()
    for chosen, idle, _ in CASES:
        config = compose(*chosen.split(), *idle.split(), begun=lambda config: True)
        for group in ("data", "task", "optimizer", "trainer", "logger", "callbacks"):
            part = getattr(config, group)
            keys = flatten(part.model_dump())
            for rule in RULES:
                if isinstance(part, rule.kind):
                    assert set(rule.names(part)) <= set(keys)
                    covered |= {RULES.index(rule)} if not rule.works(config) else set()
    assert covered == set(range(len(RULES)))


@pytest.mark.slow
def test_all_are_named_in_one_line():
    with pytest.raises(UserError) as told:
        compose("task.dropout=0.7", "task.reset_after=false", "optimizer.schedule.decay=0.5")
    line = str(told.value)
    assert "\n" not in line
    assert all(f"{word}: has no effect" in line for word in ("task.dropout=0.7", "task.reset_after=false"))
    assert "optimizer.schedule.decay=0.5: has no effect with optimizer.schedule.name=constant" in line
    assert line.endswith(", or leave them out")


@pytest.mark.parametrize("words", ["task.dropout=0", "task.reset_after=true", "task.cell=rnn task.forget_bias=null"])
def test_what_asks_for_nothing_or_for_what_is_so_anyway_is_taken(words):
    compose(*words.split())


@pytest.mark.slow
def test_what_a_choice_takes_the_effect_of_is_told():
    words = ("experiment=tiny_shakespeare", "task.num_layers=1")
    told = describe_ineffective(compose(*words), words)
    assert "task.dropout=0.1: has no effect with task.num_layers=1" in told and "task.skip_connections=true" in told
    assert describe_ineffective(compose("task.hidden_size=8"), ("task.hidden_size=8",)) is None


@pytest.mark.slow
def test_older_runs_go_on(tiny, capsys):
    """Stored configurations of older runs are accepted, and the original command finds its run with a note."""
    config = tiny("task.num_layers=1", "seed=7")
    assert config.task.dropout == 0.3 and upgrade_config(config.model_dump()) == (config, {})
    words = [f"root={config.root}", "task.dropout=0.5", "trainer.max_steps=4", "callbacks.progress_bar=false"]
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("error: task.dropout=0.5: has no effect")
    run = Run.of(compose(*words, begun=lambda config: True))
    assert not run.path.exists()
    with run.locked(config := compose(*words, begun=lambda config: True)):
        run.begin(config, words)
    run.write_result(config, **completed_values(steps=4))
    assert main(words) == 0
    (line,) = capsys.readouterr().err.splitlines()  # nothing is trained
    assert line.startswith("note: task.dropout=0.5: has no effect with task.num_layers=1")


def test_a_sweep_names_the_job(tmp_path):
    words = read_overrides([f"root={tmp_path}", "task.dropout=0.0,0.3", "task.num_layers=1", "seed=1,2"])
    with pytest.raises(UserError, match=r"task.dropout=0.3: has no effect .* \(job 3: task.dropout=0.3 seed=1; and so"):
        Grid(words, ["logger.group=sweep"], None)
    assert not any(tmp_path.iterdir())
