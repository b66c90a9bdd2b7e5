"""Let Lightning's Trainer write and read checkpoints through `checkpoint_file`."""

from pathlib import Path
from typing import Any

from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from lightning_dl2.resume import checkpoint_file
from lightning_dl2.resume.find_checkpoint import ResumePoint


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
