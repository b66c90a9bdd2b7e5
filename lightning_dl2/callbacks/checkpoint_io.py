"""Checkpoints that are whole or refused: written atomically, with a digest beside them."""

from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from lightning_dl2.files import Path, file_digest, is_whole, replacing, sidecar, write_text


class VerifiedCheckpointIO(TorchCheckpointIO):
    """Lightning's own writes through TMPDIR without fsync, and loads flipped bits silently."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            torch.save(checkpoint, temporary)
            digest = file_digest(temporary)
            # The old digest goes first: a file without one counts as unverified, never as damaged.
            sidecar(path).unlink(missing_ok=True)
        write_text(sidecar(path), f"{digest}\n")

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        path = Path(path)
        if not is_whole(path):
            raise OSError(f"{path} is damaged: it differs from the digest beside it")
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)

    def remove_checkpoint(self, path: Any) -> None:
        sidecar(Path(path)).unlink(missing_ok=True)
        super().remove_checkpoint(path)
