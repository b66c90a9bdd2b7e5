"""Continue texts with the text generator of a run, from the run's directory alone."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lightning_dl2.common import arithmetic
from lightning_dl2.common.errors import UserError
from lightning_dl2.config.schema import Config
from lightning_dl2.inference.generate_arguments import DECODING_NAMES
from lightning_dl2.run.directory import Run

if TYPE_CHECKING:
    from lightning_dl2.decoding import Decoding, Generated
    from lightning_dl2.decoding.vocabulary import Vocabulary

SHOWN = 40  # characters of a prompt in an error


def generate(
    run: str | Run,
    prompts: str | list[str],
    *,
    checkpoint: str = "best",
    unknown: str = "error",
    stop: tuple[str, ...] = (),
    device: str = "auto",
    on_text: Callable[[str], None] | None = None,
    **decoding: Any,
) -> "tuple[list[list[Generated]], Any]":
    """Continue `prompts` with the text generator of a run.

    Args:
        run: the run directory.
        prompts: texts to continue; they may be empty.
        checkpoint: best, last, or the name of a file.
        unknown: treatment of characters outside the vocabulary: error, skip or nearest.
        device: auto, cpu or cuda.
        stop: strings that end a text and are not a part of it.
        on_text: called with each piece of the first sample as soon as it is generated.
        decoding: arguments of `lightning_dl2.decoding.Decoding`.

    Returns:
        The samples of each prompt, and the vocabulary that decodes them: `vocabulary.decode(sample.tokens)`.

    Raises:
        UserError: `run` is no run of a text generator, or a setting or prompt is impossible.
    """
    run = run if isinstance(run, Run) else Run.existing(run)
    config = run.config()
    task = _load_generator(run, config, checkpoint, device)

    from lightning_dl2.callbacks.samples import start_token
    from lightning_dl2.decoding import generate as decode
    from lightning_dl2.nets.own_vocabulary import build_vocabulary

    vocabulary = build_vocabulary(task.spec["vocabulary"])
    texts = [prompts] if isinstance(prompts, str) else prompts
    encoded = [_encode(vocabulary, "prompt", text, unknown) for text in texts]
    stops = [_encode(vocabulary, "stop", text, "error") for text in stop]
    settings, decoder = _read_decoding(decoding), vocabulary.decoder()

    def on_token(row: int, token: int) -> None:
        if row == 0 and on_text:
            on_text(decoder(token))

    listener = on_token if on_text else None
    try:
        with arithmetic.configured(config.trainer):
            results = decode(
                task.net, encoded, settings, start_token=start_token(vocabulary), stop=stops, on_token=listener
            )
    except ValueError as error:  # the net has diverged
        raise UserError(f"checkpoint={checkpoint}: {error}") from error
    if on_text:
        on_text(decoder.flush())
    return results, vocabulary


def _load_generator(run: Run, config: Config, checkpoint: str, device: str) -> Any:
    """Load the task of a run onto the device; raise UserError if that is impossible."""
    if "generate" not in config.task.commands:
        raise UserError(f"run={run.path}: holds a {config.task.title}; allowed: a run of a text_generator")
    with run.open_checkpoint(checkpoint) as content:  # before torch is imported
        import torch

        from lightning_dl2.run.log import logging_to
        from lightning_dl2.tasks.build import load_task

        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("device=cuda: this machine has no GPU that torch can use; allowed: auto, cpu")
        with logging_to(None):
            task = load_task(config, content, checkpoint)
    return task.cuda() if device != "cpu" and torch.cuda.is_available() else task


def _read_decoding(arguments: dict[str, Any]) -> "Decoding":
    from lightning_dl2.decoding import Decoding

    try:
        return Decoding(**arguments)
    except ValueError as error:
        message = str(error)
        for ours, theirs in DECODING_NAMES.items():
            message = message.replace(theirs, ours)
        raise UserError(message) from error


def _encode(vocabulary: "Vocabulary", key: str, text: str, unknown: str) -> list[int]:
    try:
        return vocabulary.encode(text, unknown)
    except ValueError as error:
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
        # A line end or a tab would look like a space, or be invisible.
        shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in shown)
        raise UserError(f"{key}={shown}: {error}") from error
