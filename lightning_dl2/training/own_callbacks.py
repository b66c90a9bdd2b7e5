"""Build callbacks of the user's own, by `_target_`."""

from pytorch_lightning import Callback
from pytorch_lightning.utilities.model_helpers import is_overridden

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.component import instantiate
from lightning_dl2.config.schema import Config


def build_own_callbacks(config: Config) -> list[Callback]:
    """Build the callbacks that `config` has beside the package's own, in its order.

    Raises:
        UserError: one cannot be built, is no callback, or would share its place in a checkpoint with another.
    """
    found: dict[str, Callback] = {}
    for name, values in config.callbacks.own.items():
        callback = instantiate(f"callbacks.{name}", values)
        if not isinstance(callback, Callback):
            what = f"{values['_target_']} makes a {type(callback).__name__}"
            raise UserError(f"callbacks.{name}: {what}; allowed: a pytorch_lightning.Callback")
        if is_overridden("state_dict", callback, parent=Callback):
            for other, each in found.items():
                if each.state_key == callback.state_key and is_overridden("state_dict", each, parent=Callback):
                    what = (
                        f"has the state_key of callbacks.{other}, {callback.state_key}, so that a checkpoint keeps one"
                    )
                    raise UserError(f"callbacks.{name}: {what}; fix: let state_key tell their arguments")
        found[name] = callback
    return list(found.values())
