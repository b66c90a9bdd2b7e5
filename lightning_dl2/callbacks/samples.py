"""Write samples/step=N.txt: texts of a text generator at 1/3, 2/3 and the end of training."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_only

from lightning_dl2.callbacks.progress_bar import ProgressBar
from lightning_dl2.callbacks.weight_averaging import WeightAveraging
from lightning_dl2.common.files import write_text, writing
from lightning_dl2.decoding import Decoding, generate
from lightning_dl2.resume.requirements import needed
from lightning_dl2.resume.train_batches import datamodule_of


@dataclass(frozen=True)
class Sample:
    """A generated text, its prompt, and the method: "greedy" or the temperature."""

    method: str
    prompt: str
    text: str


class Samples(Callback):
    """Continue random characters greedily, and prompts at several temperatures.

    It draws from generators of its own, so that it does not change training.

    Args:
        prompts: sentences to finish.
        length: characters after a prompt.
        temperatures: one sample of each prompt at each.
        num_greedy: number of greedy continuations, of `greedy_length` characters each.
    """

    def __init__(
        self,
        directory: Path,
        *,
        prompts: list[str],
        length: int,
        temperatures: list[float],
        num_greedy: int,
        greedy_length: int,
    ) -> None:
        self.directory, self.prompts, self.length, self.temperatures = directory, prompts, length, temperatures
        self.num_greedy, self.greedy_length = num_greedy, greedy_length
        self._done_step = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        fix = "call fit(task, datamodule) with a TextGenerator and a TextDataModule"
        needed(self, pl_module, "net", fix)
        needed(self, datamodule_of(trainer), "vocabulary", fix)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *batch: Any) -> None:
        total, step = trainer.estimated_stepping_batches, trainer.global_step
        if step != self._done_step and step in (round(total / 3), round(2 * total / 3)):
            self._write(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer, pl_module)

    @rank_zero_only
    def _write(self, trainer: Any, pl_module: LightningModule) -> None:
        step = self._done_step = trainer.global_step
        averages = [callback for callback in trainer.callbacks if isinstance(callback, WeightAveraging)]
        with averages[0].average_in_place(pl_module) if averages else nullcontext():
            samples = self.samples(pl_module.net, trainer.datamodule.vocabulary, step)
        text = "".join(f"--- {sample.method}, after {sample.prompt!r}\n{sample.text}\n\n" for sample in samples)
        with writing(self.directory):
            self.directory.mkdir(exist_ok=True)
        write_text(self.directory / f"step={step:06d}.txt", text)
        for callback in trainer.callbacks:
            if isinstance(callback, ProgressBar) and (shown := self._shown(samples)):
                callback.say(f"step {step} writes, {shown.method}: {shown.prompt + shown.text!r}")

    @staticmethod
    def _shown(samples: list[Sample]) -> Sample | None:
        """Choose a sample for the console: a prompt continued at the first temperature, else a greedy one."""
        return next((sample for sample in samples if sample.method != "greedy"), samples[0] if samples else None)

    def samples(self, net: Any, vocabulary: Any, step: int) -> list[Sample]:
        """Generate the samples of `net` at `step`; skip the characters of prompts that the vocabulary lacks."""
        start = start_token(vocabulary)
        found = []
        first = np.random.default_rng(step).integers(len(vocabulary), size=self.num_greedy).tolist()
        greedy = Decoding(max_new_tokens=self.greedy_length, do_sample=False)
        for (result,) in generate(net, [[token] for token in first], greedy, start_token=start):
            found.append(Sample("greedy", vocabulary.decode(result.prompt), vocabulary.decode(result.tokens)))
        prompts = [vocabulary.encode(prompt, unknown="skip") for prompt in self.prompts]
        for temperature in self.temperatures:
            decoding = Decoding(max_new_tokens=self.length, temperature=temperature, seed=step)
            for (result,) in generate(net, prompts, decoding, start_token=start):
                prompt, text = vocabulary.decode(result.prompt), vocabulary.decode(result.tokens)
                found.append(Sample(f"temperature {temperature:g}", prompt, text))
        return found


def start_token(vocabulary: Any) -> int:
    """Return the token before an empty prompt: a new line where the text has one, else its first character."""
    return (vocabulary.encode("\n", unknown="skip") or [0])[0]
