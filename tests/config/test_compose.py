"""Test that overrides become a valid configuration or one line that says what is wrong."""

import copy
import re
import shlex

import pytest
import yaml

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.compose import compose, describe_ineffective, validate
from lightning_dl2.config.conf_files import options, package_conf
from lightning_dl2.config.identity import changed_choices, identity

EXPERIMENTS = options("experiment")


def suite_of(experiment: str) -> str:
    """Return the base of a suite, whose experiments differ by their data alone; else the experiment."""
    folder = experiment.rpartition("/")[0]
    base, content = f"{folder}/_suite", content_of(experiment)
    of_suite = folder and content["defaults"] == [f"/experiment/{base}"] and "task" not in content
    return base if of_suite else experiment


def content_of(experiment: str) -> dict:
    return yaml.safe_load((package_conf() / "experiment" / f"{experiment}.yaml").read_text("utf-8"))


ONE_OF_EACH = [*{suite_of(name): name for name in reversed(EXPERIMENTS)}.values()][::-1]  # the first of each suite

# Overrides, and what the error must say: the key with its value, and the allowed values.
WRONG = {
    "data.sequenc_length=3": ["data.sequenc_length=3", "did you mean sequence_length", "batch_size"],
    "dat=foo": ["dat=foo", "did you mean data?"],
    "+foo.bar=3": ["foo", "there is no key foo", "optimizer"],
    "experiment=palindrom": ["experiment=palindrom", "did you mean palindrome", "baum_sweet"],
    "experiment=": ["experiment=", "baum_sweet"],
    "experiment=/palindrome": ["experiment=/palindrome", "did you mean palindrome", "baum_sweet"],
    "experiment=../experiment/palindrome": ["experiment=../experiment/palindrome", "palindrome", "baum_sweet"],
    "experiment=palindrome.yaml": ["experiment=palindrome.yaml", "did you mean palindrome"],
    "experiment=course/palindrom": ["experiment=course/palindrom", "did you mean course/palindrome"],
    "experiment=null": ["experiment=null", "experiment=NAME", "baum_sweet"],
    "experiment=[palindrome,baum_sweet]": ["experiment=[palindrome,baum_sweet]", "experiment=NAME"],
    "~experiment": ["~experiment", "experiment=NAME"],
    "data=foo": ["data=foo", "decimal_palindrome"],
    "data=": ["data=", "decimal_palindrome"],
    "data=../data/baum_sweet": ["data=../data/baum_sweet", "did you mean baum_sweet"],
    "debug=foo": ["debug=foo", "fast, none, overfit, profile"],
    "data.batch_size=abc": ['data.batch_size="abc"', "integer"],
    "data.batch_size=é": ["data.batch_size=é", "quotes"],
    "data.batch_size='é'": ['data.batch_size="é"', "integer"],
    "data.batch_size='3'": ['data.batch_size="3"', "integer"],
    "data.batch_size=1.5": ["data.batch_size=1.5", "integer"],
    "data.batch_size=true": ["data.batch_size=true", "integer"],
    "data.batch_size=": ['data.batch_size=""', "integer"],
    "data.batch_size=null": ["data.batch_size=null", "integer"],
    "data.batch_size=0": ["data.batch_size=0", "greater than or equal to 1"],
    "+data.batch_size=4": ["+data.batch_size=4", "write data.batch_size=4"],
    "~data.batch_size": ["data.batch_size", "is missing"],
    "data.sequence_length=1": ["data.sequence_length=1", "2 or more"],
    "data.curriculum=3": ["data.curriculum=3", "a group of keys"],
    "data.name=palindrome": ['data.name="palindrome"', "'decimal_palindrome'", "'python_docs'"],
    "data=python_docs": ["task=sequence_classifier", "data=python_docs: task=text_generator"],
    "debug=overfit data=python_docs": ["task=sequence_classifier: allowed with data=python_docs: task=text_generator"],
    "task=text_generator": ["task=text_generator", "data=decimal_palindrome: task=sequence_classifier"],
    "callbacks.samples.enabled=true": ["callbacks.samples.enabled=true", "text_generator"],
    "experiment=graph callbacks.gradient_flow.enabled=true": ["callbacks.gradient_flow.enabled=true", "graph_net"],
    "callbacks.checkpoint.monitor=val/loss_cold": ["monitor=val/loss_cold", "val/loss, val/accuracy"],
    "experiment=text data.curriculum=1": ["data.curriculum=1", "there is no key data.curriculum", "sequence_length"],
    "experiment=text data.batch_siz=1": ["data.batch_siz=1", "did you mean batch_size", "evaluation_warmup"],
    "experiment=text data.validation_fraction=1": ["data.validation_fraction=1", "less than 1"],
    "experiment=text data.test_fraction=0.95": ["data.validation_fraction=0.1", "test_fraction=0.95", "below 1"],
    "experiment=text task.cell=bilstm": ['task.cell="bilstm"', "allowed: rnn, lstm, gru, peephole, mingru"],
    "experiment=text task.tie_weights=true task.projection_size=9": ["task.embedding_size=64", "9"],
    "experiment=text callbacks.weight_averaging.decay=1": ["weight_averaging.decay=1", "less than 1"],
    "task=graph_net": ["task=graph_net", "data=decimal_palindrome: task=sequence_classifier"],
    "experiment=tiny_shakespeare trainer.limit_val_batches=1": [
        "trainer.limit_val_batches=1: the first batch gives no val/loss_cold",
        "2 or more, null, or another monitor",
    ],
    "data=cora": ["task=sequence_classifier", "data=cora: task=graph_net"],
    "experiment=graph data=python_docs": ["task=graph_net", "data=python_docs: task=text_generator"],
    "experiment=graph task=text_generator": ["task=text_generator", "data=sbm: task=graph_net"],
    "experiment=graph data=minigc": ["task.output_layer=none", "data=minigc", "linear, mlp"],
    "experiment=graph data.fold=1": ["data.fold=1", "there is no key data.fold", "fanouts"],
    "data.num_workers=2 data.curriculum.enabled=true": ["data.num_workers=2", "0, or data.curriculum.enabled=false"],
    "experiment=csl data.fold=5": ["data.fold=5", "0 to 4"],
    "experiment=sbm_large task.virtual_node=true": ["data.fanouts=[10, 10]", "task.virtual_node=true: null"],
    "experiment=mutag data=minigc data.node_attributes=true": ["node_attributes=true: data=minigc has none", "enzymes"],
    "experiment=sbm_large task.num_layers=3": ["data.fanouts=[10, 10]", "task.num_layers=3: a list of 3, or null"],
    "experiment=graph optimizer.weight_decay_of.layers=1": ["write +optimizer.weight_decay_of.layers=1"],
    "task.hidden_size=-1": ["task.hidden_size=-1", "greater than or equal to 1"],
    "task.cell=lst": ['task.cell="lst"', "did you mean lstm", "gru"],
    "task.forget_bias=abc": ['task.forget_bias="abc"', "number", "'chrono'"],
    "task.forget_bias=nan": ["task.forget_bias=NaN", "finite"],
    "task.bias=false": ["task.forget_bias=chrono", "task.bias=true", "null"],
    "task.hidden_size=${nothing}": ["task.hidden_size", "nothing"],
    "optimizer.learning_rate=nan": ["optimizer.learning_rate=NaN", "finite"],
    "optimizer.learning_rate=-inf": ["optimizer.learning_rate=-Infinity", "finite"],
    "optimizer.arguments.eps=1e-6": ["write +optimizer.arguments.eps=1e-6"],
    "+optimizer.arguments.lr=1": ["optimizer.arguments.lr=1", "allowed: optimizer.learning_rate=1"],
    "optimizer.schedule.name=cosine": ["optimizer.schedule.total_steps=null", "cosine"],
    "trainer.accumulate_grad_batches=1001": ["=1001: an epoch ends after 1000 training batches; allowed: 1 to 1000"],
    "trainer.max_time=5m": ['trainer.max_time="5m"', "DD:HH:MM:SS"],
    "trainer.max_time=5": ["trainer.max_time=5: allowed: DD:HH:MM:SS"],
    "trainer.max_time=true": ["trainer.max_time=true: allowed: DD:HH:MM:SS"],
    "trainer.max_time=[1]": ["trainer.max_time=[1]: allowed: DD:HH:MM:SS"],
    "experiment=graph data.path=DIR": ["data.path=DIR: data=sbm is generated", "data=graph_file"],
    "experiment=csl data.path=DIR": ["data.path=DIR: data=csl is generated", "data=graph_set_file"],
    "trainer.max_steps=0": ["trainer.max_steps=0", "1 or more"],
    "trainer.max_steps=-1": ["trainer.max_steps=-1", "max_epochs"],
    "trainer.precision=16": ["trainer.precision=16", "'bf16-mixed'"],
    "callbacks.checkpoint.monitor=val/accuracy callbacks.checkpoint.mode=min": ["checkpoint.mode=min", "max"],
    "callbacks.early_stopping.mode=max": ["callbacks.early_stopping.mode=max: allowed with monitor=val/loss: min"],
    "resume=maybe": ['resume="maybe"', "'auto', 'never' or 'restart'"],
    "root=": ['root=""'],
    "seed=-1": ["seed=-1", "greater than or equal to 0"],
    "seed=1,2": ["seed=1,2", "one value"],
    "seed=range(1,3)": ["seed=range(1,3)", "one value"],
    "seed": ["seed", "key=value"],
    "a=b=c": ["a=b=c", "\"a='b=c'\""],
    "data.path=a,b.txt": [
        "data.path=a,b.txt",
        "one value",
        "in quotes if it has commas, as in \"data.path='a,b.txt'\"",
    ],
    "data.path=Don't.txt": ["data.path=Don't.txt", "in quotes, as in \"data.path='Don\\'t.txt'\""],
    f"seed={'9' * 5000}": ["seed=999", "...: cannot be read: Exceeds the limit"],
    "=3": ["=3", "key=value"],
    "--multirun": ["--multirun", "key=value"],
    "hydra.run.dir=x": ["hydra.run.dir=x", "no effect"],
}


@pytest.mark.slow
@pytest.mark.parametrize("word", WRONG)
def test_wrong_word_is_told(word):
    with pytest.raises(UserError) as error:
        compose(*word.split(" "))
    for part in WRONG[word]:
        assert part in str(error.value)
    assert len(str(error.value).splitlines()) == 1


# The same of single values, {experiment: {key=value: what the line says}}, without Hydra, which takes its time.
WRONG_VALUES = {
    "palindrome": {
        "trainer={check_val_every_n_epoch: 1, val_check_interval: 1001}": [
            "trainer.val_check_interval=1001",
            "after 1000 training batches",
            "1 to 1000, or any with trainer.check_val_every_n_epoch=null",
        ],
        "trainer={check_val_every_n_epoch: 2, val_check_interval: 10, limit_train_batches: 1}": [
            "trainer.val_check_interval=10: an epoch ends after 1 training batches"
        ],
        "trainer={check_val_every_n_epoch: 1, val_check_interval: 10, limit_train_batches: 99, overfit_batches: 3}": [
            "1 to 3, or any"
        ],
        "trainer.val_check_interval=0": ["trainer.val_check_interval=0: allowed: greater than 0"],
        "trainer.val_check_interval=1.5": ["=1.5: allowed: a whole number of training batches, or a share of an epoch"],
        "trainer.val_check_interval=true": ["trainer.val_check_interval=true: allowed: an integer or a number"],
        "trainer.gradient_clip_val=-1": ["trainer.gradient_clip_val=-1: allowed: greater than or equal to 0"],
        "logger.notes=5": ["logger.notes=5: is not text without quotes; fix: \"logger.notes='5'\" if"],
        "logger.notes=true": ["logger.notes=true: is not text without quotes", "\"logger.notes='true'\""],
        "logger.notes=[a]": ['logger.notes=["a"]: allowed: text'],
        "optimizer.schedule={name: plateau, decay: 1.0}": ["optimizer.schedule.decay=1.0", "plateau", "less than 1"],
        "optimizer.schedule={name: plateau, decay: 1}": ["optimizer.schedule.decay=1", "plateau", "less than 1"],
        "callbacks.solved.threshold=5": ["callbacks.solved.threshold=5", "0 to 1"],
        "callbacks.solved.threshold=-1": ["callbacks.solved.threshold=-1", "0 to 1"],
    },
    "text": {
        "task.focal_gamma=-1": ["task.focal_gamma=-1", "greater than or equal to 0"],
        "trainer={check_val_every_n_epoch: 1, val_check_interval: 10, limit_train_batches: 9}": ["1 to 9, or any"],
    },
    "graph": {
        "data.name=core": ['data.name="core"', "'cora'", "'karate_club'"],
        "data.split=own": ['data.split="own"', "'public' or 'random'"],
        "data.target=regression": ["data.target=regression: data=sbm has classes; allowed: null, or data=graph_file"],
        "data={name: graph_csv, label: a, labels: [b]}": [
            "data.labels=['b']: allowed: names of columns with data.label"
        ],
        "data={name: graph_csv, labels: [b, b]}": ["data.labels=['b', 'b']: allowed: each name once"],
        "data.train_per_class=0": ["data.train_per_class=0", "greater than or equal to 1"],
        "data.fanouts=[]": ["data.fanouts=[]", "one number a layer, or null"],
        "data.fanouts=[10]": ["data.fanouts=[10]", "task.num_layers=2: a list of 2, or null"],
        "data.fanouts=[10,0]": ["data.fanouts=[10, 0]", "greater than or equal to 1"],
        "data.fanouts=10": ["data.fanouts=10", "list"],
        "data.num_workers=2": ["data.num_workers=2", "data.fanouts=null", "0, or data.fanouts of the layers"],
        "data.num_workers=-1": ["data.num_workers=-1", "greater than or equal to 0"],
        "data.positional.size=3": ["data.positional.size=3", "kind=none: 0"],
        "data.positional.size=-1": ["data.positional.size=-1", "greater than or equal to 0"],
        "data.evaluation_chunk=0": ["data.evaluation_chunk=0", "greater than or equal to 1"],
        "data.block_model.num_classes=1": ["data.block_model.num_classes=1", "greater than or equal to 2"],
        "data.block_model.homophily=2": ["data.block_model.homophily=2", "less than or equal to 1"],
        "task.layer=gnc": ['task.layer="gnc"', "did you mean gin or gcn", "gatedgcn", "or a dotted path"],
        "task.output_layer=conv": ['task.output_layer="conv"', "'linear'"],
        "task.readout=median": ['task.readout="median"', "did you mean mean?", "or a dotted path"],
        "task.dropout=1": ["task.dropout=1", "less than 1"],
        "task.self_loops=maybe": ['task.self_loops="maybe"', "boolean"],
        "task.alpha=2": ["task.alpha=2", "less than or equal to 1"],
        "task.lambda_=0": ["task.lambda_=0", "greater than 0"],
        "task.class_weights=equal": ['task.class_weights="equal"', "'balanced'"],
        "task.engine=cuda": ['task.engine="cuda"', "'auto', 'dgl' or 'torch'"],
        "task.cell=lstm": ['task.cell="lstm"', "there is no key task.cell", "layer"],
        "optimizer.weight_decay_of={layers: -1}": ["optimizer.weight_decay_of.layers=-1", "greater than or equal to 0"],
        "optimizer.weight_decay_of={layers: much}": ['optimizer.weight_decay_of.layers="much"', "number"],
        "callbacks.checkpoint.monitor=val/auc": ["monitor=val/auc: ", "val/loss, val/acc", "task.extra_metrics=[auc]"],
        "task.extra_metrics=[r2]": ["task.extra_metrics=r2: data=sbm has classification targets", "allowed: accuracy"],
        "callbacks={checkpoint: {every_n_steps: 1, monitor: val/macro_accuracy, mode: min}}": [
            "callbacks.checkpoint.mode=min: allowed with monitor=val/macro_accuracy: max"
        ],
    },
    "cora": {
        "data.positional={kind: laplacian, size: 2}": ["task.input_layer=false", "data=cora", "data.positional: true"]
    },
    "csl": {
        "data.fold=-1": ["data.fold=-1", "greater than or equal to 0"],
        "data.target=regression": ["data.target=regression: allowed with data=csl: null, classification"],
        "data.num_folds=2": ["data.num_folds=2", "greater than or equal to 3"],
        "data.validation_fraction=0.0": ["data.validation_fraction=0.0", "greater than 0"],
        "data.min_nodes=30": ["data.min_nodes=30", "at most max_nodes=20"],
        "data.positional.size=0": ["data.positional.size=0", "kind=laplacian: 1 or more"],
        "data.positional.kind=fourier": ['data.positional.kind="fourier"', "'laplacian'"],
        "data.fanouts=[3]": ["data.fanouts=[3]", "there is no key data.fanouts", "num_folds"],
        "callbacks.checkpoint={every_n_steps: 1, monitor: val/mean_absolute_error, mode: min}": [
            "monitor=val/mean_absolute_error",
            "data=csl",
            "allowed: val/loss, val/accuracy",
        ],
    },
    "zinc": {
        "callbacks.checkpoint={every_n_steps: 1, monitor: val/accuracy, mode: max}": [
            "monitor=val/accuracy",
            "data=zinc",
            "allowed: val/loss, val/mean_absolute_error",
        ],
        "callbacks.checkpoint.mode=max": ["checkpoint.mode=max", "monitor=val/mean_absolute_error: min"],
        "callbacks.solved.enabled=true": ["monitor=val/accuracy", "data=zinc", "callbacks.solved.enabled=false"],
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("experiment", WRONG_VALUES)
def test_wrong_value_is_told(experiment):
    plain = compose(f"experiment={experiment}").model_dump()
    for word, parts in WRONG_VALUES[experiment].items():
        key, _, text = word.partition("=")
        values = copy.deepcopy(plain)
        *groups, name = key.split(".")
        group = values
        for each in groups:
            group = group[each]
        value = yaml.safe_load(text)
        group[name] = group[name] | value if isinstance(value, dict) else value
        with pytest.raises(UserError) as error:
            validate(values)
        assert all(part in str(error.value) for part in parts), (word, str(error.value))
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("first", [name for name in ONE_OF_EACH if suite_of(name) != name])
def test_the_experiments_of_a_suite_differ_by_their_data_alone(first):
    """So one of them stands for all in other tests; each is valid, with a name of its own."""
    values, names = compose(f"experiment={first}").model_dump(), set()
    for name in (name for name in EXPERIMENTS if suite_of(name) == suite_of(first)):
        content = content_of(name)
        assert content.keys() == {"defaults", "data"}
        assert content["defaults"] == [f"/experiment/{suite_of(first)}"]
        data = values["data"] | content["data"]
        data["curriculum"] = values["data"]["curriculum"] | content["data"].get("curriculum", {})
        config = validate(values | {"experiment": name, "data": data})
        names.add(config.data.name)
        assert name.endswith(f"/{config.data.name}") and config.data.shortest_length >= config.data.minimum_length
    assert len(names) == len([name for name in EXPERIMENTS if suite_of(name) == suite_of(first)])


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ONE_OF_EACH)
def test_experiment_is_its_own_default_and_says_nothing_by_itself(experiment):
    words = (f"experiment={experiment}",)
    config = compose(*words)
    assert config.experiment == experiment
    assert changed_choices(config) == {}
    assert describe_ineffective(config, words) is None
    assert validate(config.model_dump()) == config  # as read from config.yaml


@pytest.mark.parametrize("path", ["Don't.txt", "a,b.txt", 'it\'s "1, 2"', "a'b\\", "$HOME's", "a\\'b c"])
def test_what_is_suggested_is_taken(path):
    """A suggested override works when typed in a shell."""
    with pytest.raises(UserError) as error:
        compose("experiment=text", f"data.path={path}")
    (word,) = shlex.split(str(error.value).partition(" as in ")[2].removesuffix(", or several runs with -m"))
    assert compose("experiment=text", word).data.path == path


def test_lightnings_own_forms_are_taken():
    assert compose("trainer.gradient_clip_val=0").trainer.gradient_clip_val is None
    assert compose("trainer.gradient_clip_val=0.0") == compose("trainer.gradient_clip_val=null")
    config = compose("trainer.val_check_interval=0.25", "trainer.limit_train_batches=7")
    told = "trainer.val_check_interval=0.25: every 1 of the 7 training batches of an epoch"
    assert config.validation_interval(1000) == (1, told)
    assert compose("trainer.val_check_interval=0.29").validation_interval(100) == (29, None)
    assert compose("trainer.val_check_interval=1.0").validation_interval(8) == (8, None)
    assert compose("trainer.val_check_interval=1").validation_interval(8) == (1, None)
    for wrong in ("1.5", "0", "-0.5", "0.0"):
        with pytest.raises(UserError, match=f"trainer.val_check_interval={wrong}: allowed: "):
            compose(f"trainer.val_check_interval={wrong}")


def test_quotes_carry_any_value():
    assert compose("root='/data/Größe=1, 2'").root == "/data/Größe=1, 2"


@pytest.mark.parametrize(
    ("words", "split"),
    [
        ("experiment=text", "validation, which also chose the checkpoint"),
        ("experiment=text data.test_fraction=0.05", "held out"),
        ("experiment=palindrome", "held out"),
        ("experiment=palindrome data.sequence_length=2", "the sequences of training: there are no others"),
        ("experiment=mutag", "held out"),
    ],
)
def test_what_the_test_is_measured_on_is_named(words, split):
    assert compose(*words.split()).test_split == split


def test_validations_fit_into_an_epoch_exactly():
    """A validation interval must fit into an epoch; unknown epoch lengths are left to Lightning."""
    each = "trainer.check_val_every_n_epoch=1"
    assert compose(each, "trainer.val_check_interval=1000").trainer.val_check_interval == 1000
    assert compose(each, "trainer.val_check_interval=9", "trainer.overfit_batches=9").trainer.overfit_batches == 9
    assert compose(each, "experiment=text", "trainer.val_check_interval=5000").trainer.val_check_interval == 5000


@pytest.mark.slow
def test_one_fixed_batch_has_one_length_and_whole_targets():
    words = ("experiment=palindrome_long", "debug=overfit")
    config = compose(*words)
    assert (config.data.curriculum.enabled, config.task.label_smoothing) == (False, 0.0)
    assert changed_choices(config) == {"debug": "overfit"}
    assert compose(*words, "data.curriculum.enabled=true").data.curriculum.enabled
    assert compose("experiment=palindrome_long", "debug=fast").data.curriculum.enabled
    for experiment in ("text", "tiny_shakespeare", "graph", "cora_gat", "csl"):
        config = compose(f"experiment={experiment}", "debug=overfit")
        dropped = [rate for key, rate in config.task if key.endswith("dropout") and key != "locked_dropout"]
        assert config.trainer.overfit_batches == 1 and dropped and not any(dropped)


COURSE = [name for name in EXPERIMENTS if name.startswith("course/")]


@pytest.mark.slow
@pytest.mark.parametrize("experiment", COURSE)
def test_the_course_has_the_assignments_cells(experiment):
    """The course's experiments use the assignment's cells, and older runs keep the cells they were typed with."""
    course = (f"experiment={experiment}",)
    forms = {
        cell: (task.bias, task.peephole)
        for cell in ("lstm", "gru", "peephole")
        for task in [compose(*course, f"task.cell={cell}").task]
    }
    assert forms == {"lstm": (True, "gers"), "gru": (False, "gers"), "peephole": (True, "assignment")}
    assert identity(compose(*course))["task.peephole"] == "gers"
    for typed in (("task.cell=gru", "task.bias=false"), ("task.cell=peephole", "task.peephole=assignment")):
        assert changed_choices(compose(*course, typed[0])) == changed_choices(compose(*course, *typed))
    assert changed_choices(compose(*course, "task.cell=peephole", "task.peephole=gers")) == {"task.cell": "peephole"}


@pytest.mark.slow
def test_data_bring_their_own_split():
    """Each data set has its own default split, also with another graph in experiment=graph."""
    splits = {name: compose("experiment=graph", f"data={name}").data.split for name in ("sbm", "karate_club", "cora")}
    assert splits == {"sbm": "random", "karate_club": "public", "cora": "public"}


@pytest.mark.slow
def test_several_loggers_are_named_in_the_group():
    """The defaults of W&B stay, whatever the order; a file with a logger by `_target_` alone gets the other keys."""
    for words in ("[wandb,tensorboard]", "[tensorboard,wandb]"):
        logger = compose(f"logger={words}").logger
        assert logger.names == ("tensorboard", "wandb") and logger.artifacts == ["figures", "samples"]
    assert compose("logger=wandb").logger.name == "wandb"
    with pytest.raises(UserError, match=re.escape("logger=[wandb,x]: x: allowed: csv, tensorboard, wandb")):
        compose("logger=[wandb,x]")


@pytest.mark.slow
def test_a_logger_and_a_callback_of_the_users_own_stand_in_files(tmp_path, monkeypatch):
    (tmp_path / "logger").mkdir()
    (tmp_path / "logger" / "lines.yaml").write_text("lines: {_target_: tests.own_parts.Lines, path: '${root}/a'}\n")
    monkeypatch.setenv("LIGHTNING_DL2_CONF", str(tmp_path))
    logger = compose("logger=lines").logger
    assert logger.names == ("csv",) and logger.own == {"lines": {"_target_": "tests.own_parts.Lines", "path": "runs/a"}}
    assert compose("logger=[lines,wandb]").logger.name == "wandb"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("+callbacks.solvd={enabled:true}", "callbacks.solvd: there is no such key; did you mean solved?"),
        ("+callbacks.a={_target_:tests.own_parts.Counter}", "callbacks.a.name: is missing"),
        ("+callbacks.a={_target_:tests.own_parts.Countr,name:b}", "did you mean Counter"),
        (
            "+callbacks.a={_target_:tests.own_parts.Counter,name:b,start:x}",
            'callbacks.a.start="x": allowed: an integer',
        ),
        ("+logger.a=3", "logger.a: there is no such key"),
    ],
)
def test_an_object_of_the_users_own_is_checked(word, says):
    with pytest.raises(UserError, match=re.escape(says)):
        compose(word)
