"""Build the launcher that `launcher=` names."""

from pathlib import Path

from lightning_dl2.config import schema
from lightning_dl2.sweeps.launchers.base import Launcher


def build_launcher(config: schema.Local | schema.Submitit | schema.Ray, directory: Path) -> Launcher:
    """Build the launcher of `config`, which may keep files in `directory`.

    Raises:
        UserError: a package or a cluster that it needs is missing.
    """
    if isinstance(config, schema.Submitit):
        from lightning_dl2.sweeps.launchers.submitit import SubmititLauncher

        return SubmititLauncher(config, directory)
    if isinstance(config, schema.Ray):
        from lightning_dl2.sweeps.launchers.ray import RayLauncher

        return RayLauncher(config)
    from lightning_dl2.sweeps.launchers.local import LocalLauncher

    return LocalLauncher(config)
