"""Give any LightningDataModule the interface that exact training needs, and leave its own hooks at work."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities import CombinedLoader
from pytorch_lightning.utilities.model_helpers import is_overridden

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.launcher import is_rank_zero
from lightning_dl2.resume.data.evaluation import evaluation_batches
from lightning_dl2.resume.data.train_loaders import PureBatches, TrainLoaders
from lightning_dl2.resume.random_numbers import isolated
from lightning_dl2.resume.train_batches import TrainBatches, batches_done

log = logging.getLogger(__name__)

TRANSFER_HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
EVALUATIONS = {"val": "validate", "test": "test", "predict": "predict"}  # splits and their stages


class PlacedTrainer:
    """Stand in for the Trainer while `setup` runs before there is one: the place of this process, and no more."""

    def __init__(self, rank: int, world: int) -> None:
        self.global_rank, self.world_size, self.is_global_zero = rank, world, rank == 0

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"trainer.{name}: the data are set up before there is a Trainer; ask for it in a later hook"
        )


def overrides(source: Any, hook: str) -> bool:
    """Tell whether a data module, or another object that gives data, has a hook of its own."""
    return is_overridden(hook, source) if isinstance(source, LightningDataModule) else hasattr(source, hook)


class ExactDataModule(LightningDataModule):
    """Give training batch k of a user's data as a function of (seed, k, rank), so that a resumed run is exact.

    `adapt` makes one. Names that this class has not are those of the user's data module: they are read and set there.
    `prepare_data` and `setup` run once, whether a Trainer calls them or the first question about the data does.

    Args:
        source: a LightningDataModule, or an object with `train_batch(step)` and `batches_per_epoch`.
        seed: of orders and items; it should be that of ExactResume.
        placed_at: rank and number of ranks, without a Trainer.
        limit_train_batches: as the Trainer's, where the length of the data is asked for before there is a Trainer.
    """

    def __init__(
        self,
        source: Any,
        *,
        seed: int = 0,
        placed_at: tuple[int, int] = (0, 1),
        limit_train_batches: int | float | None = None,
    ) -> None:
        super().__init__()
        self.seed, self.placed_at, self.limit_train_batches = seed, placed_at, limit_train_batches
        self.is_pure = hasattr(source, "train_batch") and hasattr(source, "batches_per_epoch")
        self._train: TrainLoaders | None = None
        self._train_is_taken, self._prepared, self._has_told = False, False, False
        self._early: set[str | None] = set()  # stages that were set up without a Trainer
        self._evaluations: dict[str, Any] = {}  # built without a Trainer, not yet taken by one
        self._to_load: list[Any] | None = None
        self.source = source  # last: from here on, names are sought there
        for hook in TRANSFER_HOOKS:  # Lightning prefers the LightningModule's where the data module has none
            if overrides(source, hook):
                self.__dict__[hook] = getattr(source, hook)
        for split in EVALUATIONS:
            if overrides(source, f"{split}_dataloader"):
                self.__dict__[f"{split}_dataloader"] = partial(self._evaluation_loaders, split)
        self.__dict__["prepare_data_per_node"] = getattr(source, "prepare_data_per_node", True)
        self.__dict__["_log_hyperparams"] = getattr(source, "_log_hyperparams", False)

    def __getattr__(self, name: str) -> Any:
        source = self.__dict__.get("source")
        if source is None or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(f"{type(self).__name__} has no {name}")
        return getattr(source, name)

    def __setattr__(self, name: str, value: Any) -> None:
        source = self.__dict__.get("source")
        owned = source is None or name in self.__dict__ or hasattr(type(self), name) or not hasattr(source, name)
        super().__setattr__(name, value) if owned else setattr(source, name, value)

    @property
    def trainer(self) -> Any:
        """Return the Trainer; None: none yet."""
        return self.__dict__.get("_trainer")

    @trainer.setter
    def trainer(self, trainer: Any) -> None:
        self.__dict__["_trainer"] = trainer
        for owner in (self.__dict__.get("source"), self.__dict__.get("_train")):
            if owner is not None:
                owner.trainer = trainer

    @property
    def hparams(self) -> Any:
        own = super().hparams
        return own or getattr(self.__dict__.get("source"), "hparams", own)

    @property
    def hparams_initial(self) -> Any:
        own = super().hparams_initial
        return own or getattr(self.__dict__.get("source"), "hparams_initial", own)

    @property
    def spec(self) -> dict[str, Any]:
        """Return the user's `spec`: plain values that describe the data; {} without one."""
        return dict(getattr(self.source, "spec", None) or {})

    @property
    def _rank_and_world(self) -> tuple[int, int]:
        return self.placed_at if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _device_type(self) -> str:
        """Return the type of the device that computes, such as "cuda"; "cpu" without a Trainer."""
        return "cpu" if self.trainer is None else str(self.trainer.strategy.root_device.type)

    @contextmanager
    def _placed(self, *numbers: int | str) -> Iterator[None]:
        """Let the user's code draw the same on all ranks and after each resume, and find a Trainer's place."""
        stands_in = self.trainer is None
        if stands_in:
            self.source.trainer = PlacedTrainer(*self.placed_at)
        try:
            with isolated(self.seed, *numbers):
                yield
        finally:
            if stands_in:
                self.source.trainer = None

    def prepare_data(self) -> None:
        """Call the user's `prepare_data`, once; of several ranks, one a machine calls this before the others set up."""
        if not self._prepared and overrides(self.source, "prepare_data"):
            with self._placed("prepare_data"):
                self.source.prepare_data()
        self._prepared = True

    def setup(self, stage: str | None = None) -> None:
        """Call the user's `setup(stage)`, but not once more for a Trainer's first stage of that name."""
        if stage in self._early:
            if self.trainer is not None:
                self._early.discard(stage)
            return
        if self.trainer is None:
            self._early.add(stage)
        if overrides(self.source, "setup"):
            with self._placed("setup", str(stage)):
                self.source.setup(stage)

    def teardown(self, stage: str | None = None) -> None:
        for stream in self._train.streams if self._train else ():
            stream.close()
        if overrides(self.source, "teardown"):
            self.source.teardown(stage)

    def _set_up(self, stage: str) -> None:
        if self.trainer is None:
            if self.placed_at[0] == 0:
                self.prepare_data()
            self.setup(stage)

    def _loaders(self) -> TrainLoaders:
        """Return the training data, built at the first question."""
        if self._train is None:
            self._set_up("fit")
            if not overrides(self.source, "train_dataloader"):
                raise UserError(
                    f"data: {type(self.source).__name__} has no training data; fix: write train_dataloader() or"
                    " train_batch(step)"
                )
            with self._placed("train_dataloader"):
                loaders = self.source.train_dataloader()
            self._train = TrainLoaders(
                loaders, seed=self.seed, placed_at=self.placed_at, limit=self.limit_train_batches
            )
            self._train.trainer = self.trainer
            if self._to_load is not None:
                for stream, state in zip(self._train.streams, self._to_load, strict=True):
                    stream.load_state_dict(state)
        return self._train

    @property
    def batches_per_epoch(self) -> int:
        """Count the training batches of an epoch, on each rank.

        Raises:
            UserError: the data have no length, and `trainer.limit_train_batches` is none either.
        """
        if self.is_pure:
            self._set_up("fit")
            return int(self.source.batches_per_epoch)
        return self._loaders().batches_per_epoch

    @property
    def num_workers(self) -> int:
        """Count the processes that prefetch training batches."""
        return int(getattr(self.source, "num_workers", 0)) if self.is_pure else self._loaders().num_workers

    def train_batch(self, step: int) -> Any:
        """Make training batch number `step` of this rank; the global generators are left as they were."""
        with isolated(self.seed, "batch", step, self._rank_and_world[0]):
            return self.source.train_batch(step) if self.is_pure else self._loaders().train_batch(step)

    def train_dataloader(self) -> TrainBatches:
        """Return the training batches from the current step on; tell the notes that nobody has asked for."""
        overfit = getattr(self.trainer, "overfit_batches", 0)
        if isinstance(overfit, float) and overfit:
            raise UserError(f"trainer.overfit_batches={overfit}: allowed: a number of batches")
        if not self._has_told:
            for note in self.notes:
                log.warning(note)
                if is_rank_zero():
                    print(f"note: {note}", file=sys.stderr)
        if self.is_pure:
            return TrainBatches(PureBatches(self.source, self.seed, self.num_workers, self.placed_at, self.trainer))
        if self._train_is_taken:  # trainer.reload_dataloaders_every_n_epochs, or another fit
            self._train = None
        self._train_is_taken = True
        loaders = self._loaders()
        loaders.check_share(self._rank_and_world[1])
        return TrainBatches(loaders)

    def _evaluation_loaders(self, split: str) -> Any:
        if split in self._evaluations:
            return self._evaluations.pop(split)
        with self._placed(f"{split}_dataloader"):
            loaders = getattr(self.source, f"{split}_dataloader")()
        combined = loaders if isinstance(loaders, CombinedLoader) else CombinedLoader(loaders, "sequential")
        rank, world = self._rank_and_world
        names = [
            split if len(combined.flattened) == 1 else f"{split}{place}" for place in range(len(combined.flattened))
        ]
        combined.flattened = [
            evaluation_batches(loader, name, self.seed, rank, world, self._device_type)
            for loader, name in zip(combined.flattened, names, strict=True)
        ]
        return combined if isinstance(loaders, CombinedLoader) else combined.iterables

    def check_processes(self, number: int) -> None:
        """Raise UserError if a split has nothing for some of so many processes."""
        placed, self.placed_at = self.placed_at, (self.placed_at[0], number)
        try:
            if not self.is_pure:
                self._loaders().placed_at = self.placed_at
                self._loaders().check_share(number)
            # Setting up the test data only to look at them may take long; one process needs only one item of them.
            for split in ("val", "test") if number > 1 else ("val",):
                if overrides(self.source, f"{split}_dataloader"):
                    self._set_up("fit" if split == "val" else EVALUATIONS[split])
                    self._evaluations[split] = self._evaluation_loaders(split)
        finally:
            self.placed_at = placed

    @property
    def notes(self) -> list[str]:
        """Say, one line each, what is not exact or not as the loaders say, and why."""
        self._has_told = True
        own = getattr(self.source, "note", None)
        notes = [own] if isinstance(own, str) else []
        if not self.is_pure:
            notes += self._loaders().notes(self._rank_and_world[1])
        if getattr(self.trainer, "reload_dataloaders_every_n_epochs", 0) > 1:
            notes.append(
                "trainer.reload_dataloaders_every_n_epochs: a resumed run counts these epochs from where it resumes;"
                " exact where train_dataloader() returns the same each time"
            )
        return notes

    @property
    def note(self) -> str | None:
        """Return the notes as one line; None: there are none."""
        return "; ".join(self.notes) or None

    def state_dict(self) -> dict[str, Any]:
        """Return the user's state, the places of streams, and facts that a resumed run must share."""
        state: dict[str, Any] = {"seed": self.seed}
        if not self.is_pure:
            loaders = self._loaders()
            place = divmod(batches_done(loaders), loaders.steps_per_epoch)
            state |= {"batches_per_epoch": loaders.batches_per_epoch}
            state |= {"streams": [stream.state_dict(*place) for stream in loaders.streams]}
        if overrides(self.source, "state_dict") and (own := self.source.state_dict()):
            state["own"] = own
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            UserError: the seed or the number of batches is another one.
        """
        if state_dict["seed"] != self.seed:
            raise UserError(f"seed={self.seed}: the checkpoint is of seed {state_dict['seed']}; fix: use the same seed")
        if not self.is_pure:
            before, now = state_dict["batches_per_epoch"], self._loaders().batches_per_epoch
            if before != now:
                raise UserError(
                    f"data: an epoch has {now} batches here, {before} when the run was begun; fix: use the same data"
                    " and batch_size"
                )
            self._to_load = state_dict["streams"]
            for stream, state in zip(self._loaders().streams, self._to_load or [], strict=True):
                stream.load_state_dict(state)
        if "own" in state_dict:
            self.source.load_state_dict(state_dict["own"])
