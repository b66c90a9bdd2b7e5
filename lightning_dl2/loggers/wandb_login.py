"""Check the login and the settings of Weights & Biases before a run begins."""

import os

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.schema.logger import NOT_IN_PROJECTS, WANDB_ID

LOCAL = ("offline", "dryrun", "disabled")


def check_login() -> None:
    """Check that W&B can start without asking the user.

    Raises:
        UserError: W&B would send the run but knows no key, or one of its settings is invalid.
    """
    from pydantic import ValidationError
    from wandb.errors import AuthenticationError, UsageError
    from wandb.sdk import wandb_setup
    from wandb.sdk.lib import wbauth

    _check_names()
    fix = "fix: run `wandb login`, or set WANDB_API_KEY or WANDB_MODE=offline"
    try:
        settings = wandb_setup.singleton().settings
        if settings.mode in LOCAL:
            return
        found = wbauth.authenticate_session(
            host=settings.base_url, source=__package__, prompt=False, update_session=False
        )
    except AuthenticationError as error:
        raise UserError(f"logger=wandb: {error}; {fix}") from error
    except UsageError as error:  # a settings file of W&B's
        raise UserError(f"logger=wandb: W&B's settings: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"logger=wandb: W&B's setting {first['loc'][0]}={first['input']}: {first['msg']}") from error
    if not found:
        raise UserError(f"logger=wandb: not logged in; {fix}")


def _check_names() -> None:
    """Raise UserError for a variable with a name that W&B would refuse only after the run has begun."""
    run_id, project = os.environ.get("WANDB_RUN_ID"), os.environ.get("WANDB_PROJECT", "")
    if run_id and not WANDB_ID.fullmatch(run_id):
        raise UserError(f"WANDB_RUN_ID={run_id}: allowed: at most 128 characters without : ; , # ? / ' \\")
    if set(project) & set(NOT_IN_PROJECTS):
        raise UserError(f"WANDB_PROJECT={project}: allowed: a name without {' '.join(NOT_IN_PROJECTS)}")
