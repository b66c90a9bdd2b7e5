"""Train in the workers of Ray Train, which restarts them when one dies: `pip install 'ray[train]'`.

    python scripts/ray_train.py [max_failures=3] trainer=ddp_cpu root=DIR [experiment=palindrome] [key=value ...]

The other arguments are those of `python -m lightning_dl2.train`. The number of workers is trainer.devices times
trainer.num_nodes. All machines of the Ray cluster must reach `root` and the data. Restarted workers resume from
last.ckpt and end with the same bits as workers that were never stopped.
"""

import os
import secrets
import sys
from pathlib import Path
from typing import Annotated

from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

sys.path.insert(0, str(Path(__file__).parent.parent))

from lightning_dl2 import compose  # noqa: E402
from lightning_dl2.common.arguments import Arguments, parse, whole  # noqa: E402
from lightning_dl2.common.command import command, read_docstring  # noqa: E402
from lightning_dl2.distributed.devices import Devices  # noqa: E402
from lightning_dl2.run.directory import Run  # noqa: E402


class RayArguments(Arguments):
    max_failures: Annotated[int, whole()] = 3


def work(settings: dict[str, list[str] | str]) -> None:
    """Run one worker; Ray sets the same environment variables for its rank as torchrun."""
    os.chdir(settings["directory"])
    sys.path.insert(0, settings["package"])
    from lightning_dl2.common.launcher import LAUNCH
    from lightning_dl2.train import main

    os.environ[LAUNCH] = settings["launch"]

    if code := main(settings["overrides"]):
        raise RuntimeError(f"python -m lightning_dl2.train would have ended with exit code {code}")


def run(argv: list[str]) -> int:
    own = [word for word in argv if word.startswith("max_failures=")]
    overrides = [word for word in argv if word not in own]
    failures = parse(RayArguments, own).max_failures
    config = compose(*overrides)
    devices = Devices(config.trainer)
    places = {"directory": os.getcwd(), "package": str(Path(__file__).parents[1])}
    settings = {"overrides": overrides, "launch": secrets.token_hex(8), **places}
    TorchTrainer(
        work,
        train_loop_config=settings,
        scaling_config=ScalingConfig(
            num_workers=devices.per_machine * config.trainer.num_nodes, use_gpu=devices.is_gpu
        ),
        run_config=RunConfig(
            storage_path=str(Path(config.root).resolve() / "ray"), failure_config=FailureConfig(failures)
        ),
    ).fit()
    print(Run.of(config).path)
    return 0


if __name__ == "__main__":
    sys.exit(command(run, None, __doc__ or read_docstring(__file__)))
