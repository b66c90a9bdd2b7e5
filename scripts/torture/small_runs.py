"""Define runs of a few seconds with every kind of state that a kill could lose.

Epochs end and validations start while a step accumulates gradients. Dropout, sampling, curricula, schedules, weight
averaging and carried states are on.
"""

import random
from pathlib import Path

from lightning_dl2.config.conf_files import find_file, package_conf

ANY = (  # of every experiment
    "trainer.log_every_n_steps=1",
    "trainer.val_check_interval=7",
    "trainer.num_threads=1",
    "callbacks.progress_bar=false",
    "callbacks.curves=false",
    "callbacks.checkpoint.every_n_steps=3",
)
COMMON = (
    "data.batch_size=4",
    "task.hidden_size=8",
    "task.dropout=0.3",
    *ANY,
    "callbacks.solved.enabled=false",
    "callbacks.early_stopping={enabled:true,patience:1000}",
)
AVERAGED = "callbacks.weight_averaging={enabled:true,decay:0.9,start_step:10}"
EXPERIMENTS = {
    "palindrome": (
        "experiment=palindrome",
        "data.sequence_length=8",
        "data.batches_per_epoch=17",
        "data.validation_size=64",
        "data.test_size=64",
        "data.curriculum={enabled:true,start:3,threshold:0.3,smoothing:0.5,shortest:0.5,final_steps:60}",
        "task.num_layers=2",
        "optimizer.schedule={name:cosine,warmup_steps:20,total_steps:110}",
        "trainer.accumulate_grad_batches=2",
        "trainer.max_steps=90",
    ),
    "text": (
        "experiment=text",
        "data=text",
        "data.sequence_length=16",
        "data.evaluation_batch_size=4",
        "data.evaluation_warmup=16",
        "data.cold_window=32",
        "task.num_layers=2",
        "task.weight_dropout=0.2",
        "task.reset_probability=0.1",
        "optimizer.schedule={name:plateau,warmup_steps:0,patience:1,decay:0.9}",
        "trainer.max_steps=120",
        "callbacks.samples={length:10,num_greedy:2,greedy_length:10}",
        AVERAGED,
    ),
    "graph": (
        "experiment=graph",
        "data.block_model={num_nodes:120,num_classes:3,average_degree:5.0,num_feats:4}",
        "data.train_per_class=12",
        "data.validation_size=30",
        "data.fanouts=[3,3]",
        "data.num_workers=2",
        "task.layer=gatv2",
        "task.attention_dropout=0.3",
        "task.norm=batch",
        "trainer.accumulate_grad_batches=2",
        "trainer.max_steps=90",
    ),
    "graphs": (
        "experiment=mutag",
        "data=minigc",
        "data.num_graphs=48",
        "data.min_nodes=6",
        "data.max_nodes=9",
        "data.num_folds=4",
        "data.validation_fraction=0.25",
        "task.layer=gatedgcn",
        "task.num_layers=2",
        "optimizer.schedule={name:plateau,warmup_steps:0,patience:1,decay:0.9}",
        "trainer.max_steps=110",
        AVERAGED,
    ),
}


def overrides_of(name: str, processes: int, directory: Path) -> list[str]:
    """Return the overrides for an experiment.

    Args:
        name: one of EXPERIMENTS, which a file of the same name in a directory of the user's own replaces; else any
            experiment, which is shortened to 90 steps.
        processes: number of ranks.
        directory: gets the corpus of the text experiment.
    """
    file = find_file(f"experiment/{name}")
    is_small = name in EXPERIMENTS and (file is None or file.is_relative_to(package_conf()))
    own = [*EXPERIMENTS[name], *COMMON] if is_small else [f"experiment={name}", *ANY, "trainer.max_steps=90"]
    overrides = [*own, f"trainer.devices={processes}"]
    if processes > 1:
        overrides.append("trainer.strategy=ddp")
    if is_small and name == "text":
        overrides += [f"data.path={write_book(directory)}", f"data.cache_dir={directory}"]
    return overrides


def write_book(directory: Path) -> Path:
    """Write a text of 6000 characters."""
    rng, words = random.Random(0), ("the", "cat", "sat", "on", "a", "mat", "until", "noon.\n")
    path = directory / "book.txt"
    path.write_text(" ".join(rng.choice(words) for _ in range(1600)), "utf-8")
    return path
