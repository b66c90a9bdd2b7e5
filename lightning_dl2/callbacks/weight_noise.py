"""Train with noise on the weights, so that small errors of a net's states do not grow."""

from collections.abc import Iterator
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn import Parameter

from lightning_dl2.common.errors import UserError
from lightning_dl2.resume.random_numbers import step_seed
from lightning_dl2.resume.train_batches import batches_processed


class WeightNoise(Callback):
    """Add Gaussian noise to all matrices of a module while it computes the loss and the gradient of a training batch.

    The noise is gone before the optimiser's step, and validations and checkpoints have none. It follows from the seed
    and the number of the batch, and is the same on all ranks. Vectors, such as biases and the weights of norms, have
    none, also where they are saved at the start of a batch. It draws from no global generator.

    In a recurrent net noise favours states in the saturated part of the units' functions, where small errors do not
    grow (Jim, Giles & Horne, "An analysis of noise in recurrent neural networks: convergence and generalization", IEEE
    Transactions on Neural Networks 7, 1996). All steps and sequences of a batch have the same noise.

    Args:
        std: standard deviation of the noise, in units of the root mean square of the matrix's entries.
        start_step: the first optimiser step with noise, counted from 0.
        seed: of the noise.

    Raises:
        UserError: in training, if a batch has more than one backward pass: the later ones would have no noise.
    """

    def __init__(self, std: float, start_step: int, seed: int) -> None:
        self.std, self.start_step, self.seed = std, start_step, seed
        self._exact: list[tuple[Parameter, Tensor]] = []  # the weights while they have noise
        self._spent = False  # whether a backward pass of this batch has used its noise

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._spent = False
        if trainer.global_step < self.start_step:
            return
        device = pl_module.device
        generator = torch.Generator(device).manual_seed(step_seed("noise", self.seed, batches_processed(trainer)))
        self._exact = [(w, w.detach().clone()) for w in _matrices(pl_module)]
        with torch.no_grad():
            for weights, exact in self._exact:
                noise = torch.randn(exact.shape, generator=generator, dtype=exact.dtype, device=device)
                weights.add_(noise.mul_(self.std * exact.square().mean().sqrt()))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Put the exact weights into a checkpoint that another callback saves at the start of a batch."""
        exact = {weights.data_ptr(): value for weights, value in self._exact}
        for state in (checkpoint["state_dict"], checkpoint.get("current_model_state", {})):  # beside averaged weights
            for name, value in state.items():
                if isinstance(value, Tensor) and value.data_ptr() in exact:
                    state[name] = exact[value.data_ptr()]

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        used, self._spent = self._spent, self._spent or bool(self._exact)
        self._restore()
        if used:
            raise UserError(
                f"WeightNoise: a batch has several backward passes ({type(pl_module).__name__} or its optimizer makes"
                " them), and only the first has noise; fix: callbacks.weight_noise.enabled=false"
            )

    def on_before_optimizer_step(self, *args: Any) -> None:
        self._restore()  # the module may have skipped the batch

    def on_train_batch_end(self, *args: Any) -> None:
        self._restore()

    def on_exception(self, *args: Any) -> None:
        self._restore()

    def _restore(self) -> None:
        with torch.no_grad():
            for weights, exact in self._exact:
                weights.copy_(exact)
        self._exact = []


def _matrices(module: LightningModule) -> Iterator[Parameter]:
    for weights in module.parameters():
        if weights.dim() > 1 and weights.requires_grad and weights.numel():
            yield weights
