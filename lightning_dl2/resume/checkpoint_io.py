"""Let Lightning's Trainer write and read checkpoints through `checkpoint_file`, and find early what it could not read.

Checkpoints are loaded as data (`weights_only=True`): code in them does not run. So they hold tensors and plain values.
"""

from collections import OrderedDict
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning import Trainer
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.resume import checkpoint_file
from lightning_dl2.resume.find_checkpoint import ResumePoint

PACKAGE = __name__.partition(".")[0]
PLAIN = (int, float, str, bytes, bool, type(None), Tensor, torch.nn.Parameter)
ALLOWED = "tensors, numbers, texts, lists and dicts"
HYPER_PARAMETERS = {"hyper_parameters": "the module", "datamodule_hyper_parameters": "the data module"}


class VerifiedCheckpointIO(TorchCheckpointIO):
    """Write atomically and refuse damaged files; Lightning's own writes without fsync, and loads flipped bits silently.

    Args:
        resume_point: a checkpoint that is loaded already; the Trainer takes its content, and does not read the file.
    """

    def __init__(self, resume_point: ResumePoint | None = None) -> None:
        super().__init__()
        self._resume_point = resume_point

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        checkpoint_file.write(Path(path), checkpoint_file.serialize(checkpoint))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Return the content of a checkpoint, on the CPU.

        Raises:
            OSError: it is damaged, or does not exist.
        """
        path = Path(path)
        if self._resume_point and path == self._resume_point.path:
            resume_point, self._resume_point = self._resume_point, None
            return resume_point.take()
        try:
            return checkpoint_file.read(path)
        except OSError as error:
            raise OSError(f"{path} is damaged: it differs from the digest beside it") from error

    def remove_checkpoint(self, path: Any) -> None:
        checkpoint_file.sidecar(Path(path)).unlink(missing_ok=True)
        super().remove_checkpoint(path)


def check_loadable(trainer: Trainer) -> None:
    """Check the content of a first checkpoint, unless module, data and callbacks are this package's own.

    Raises:
        UserError: a value of it could not be loaded; the line names its place, its type and what to do.
    """
    parts = [trainer.lightning_module, getattr(trainer, "datamodule", None), *getattr(trainer, "callbacks", [])]
    kinds = [type(part).__module__ for part in parts if part is not None]
    if all(kind.startswith((f"{PACKAGE}.", "pytorch_lightning.callbacks.")) for kind in kinds):
        return
    checkpoint = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
    for path, value in unloadable(checkpoint):
        raise UserError(_line(path, value))


def unloadable(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the place and the value of each part of a checkpoint that `torch.load(weights_only=True)` refuses."""
    if type(value) in PLAIN:
        return
    if type(value) in (dict, OrderedDict):
        for key, item in value.items():
            yield from unloadable(key, (*path, f"the key {key}"))
            yield from unloadable(item, (*path, str(key)))
    elif type(value) in (list, tuple, set):
        for place, item in enumerate(value):
            yield from unloadable(item, (*path, str(place)))
    elif not _can_be_loaded(value):
        yield path, value


def _can_be_loaded(value: Any) -> bool:
    content = BytesIO()
    try:
        torch.save(value, content)
        content.seek(0)
        torch.load(content, weights_only=True)
    except Exception:  # pickle and torch raise whatever their parts do
        return False
    return True


def _line(path: tuple[str, ...], value: Any) -> str:
    kind = value if isinstance(value, type) else type(value)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    what = f"{'.'.join(path)}: a checkpoint with the type {name} could not be loaded"
    if path[0] in HYPER_PARAMETERS and len(path) > 1:
        owner = HYPER_PARAMETERS[path[0]]
        return f'{what}; fix: call self.save_hyperparameters(ignore=["{path[1]}"]) in {owner}'
    if path[0] in ("hparams_type", "datamodule_hparams_type"):
        return f"{what}; fix: call self.save_hyperparameters with plain values, as of OmegaConf.to_container"
    if path[0] == "callbacks" and len(path) > 1:
        return f"{what}; fix: let state_dict() of the callback {path[1]} return {ALLOWED}"
    return f"{what}; fix: keep only {ALLOWED} in a checkpoint"
