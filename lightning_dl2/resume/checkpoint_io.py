"""Checkpoints that are whole or refused: written atomically, with a digest beside them."""

from io import BytesIO
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from lightning_dl2.common.files import Path
from lightning_dl2.resume.checkpoint_file import open_whole, sidecar, write_verified


def serialized(checkpoint: dict[str, Any]) -> memoryview:
    """The file that torch.save makes, in memory: torch's own writer does not say that a disk is full."""
    content = BytesIO()
    torch.save(checkpoint, content)
    return content.getbuffer()


class VerifiedCheckpointIO(TorchCheckpointIO):
    """Lightning's own writes through TMPDIR without fsync, and loads flipped bits silently."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        write_verified(Path(path), serialized(checkpoint))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        path = Path(path)
        try:
            with open_whole(path) as content:
                return torch.load(content, map_location=map_location or "cpu", weights_only=True)
        except OSError as error:
            raise OSError(f"{path} is damaged: it differs from the digest beside it") from error

    def remove_checkpoint(self, path: Any) -> None:
        sidecar(Path(path)).unlink(missing_ok=True)
        super().remove_checkpoint(path)
