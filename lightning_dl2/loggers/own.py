"""Build loggers of the user's own, by `_target_`."""

from pytorch_lightning.loggers import Logger

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.component import instantiate
from lightning_dl2.config.schema import Config


def build_own_loggers(config: Config) -> list[Logger]:
    """Build the loggers that `config` has beside the package's own.

    Raises:
        UserError: one cannot be built, or is no logger.
    """
    found = []
    for name, values in config.logger.own.items():
        try:
            logger = instantiate(f"logger.{name}", values)
        except ModuleNotFoundError as error:  # Lightning's own say which package they need
            raise UserError(f"logger.{name}: {str(error).partition(chr(10))[0]}; fix: pip install it") from error
        if not isinstance(logger, Logger):
            allowed = "a pytorch_lightning.loggers.Logger"
            raise UserError(f"logger.{name}: {values['_target_']} makes a {type(logger).__name__}; allowed: {allowed}")
        found.append(logger)
    return found
