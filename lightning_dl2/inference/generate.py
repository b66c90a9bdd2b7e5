"""How a text generator goes on from what it is given, from its run's directory alone."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lightning_dl2.common import cpu
from lightning_dl2.common.errors import UserError
from lightning_dl2.inference.generate_arguments import DECODING_NAMES
from lightning_dl2.run.directory import Run

if TYPE_CHECKING:
    from lightning_dl2.decoding import Generated
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
    """Lets the text generator of a run go on from `prompts`.

    Args:
        run: the run directory.
        prompts: texts to go on from; an empty one is as good as any.
        checkpoint: best, last, or the name of a file.
        unknown: what becomes of characters that are not in the vocabulary: error, skip or nearest.
        device: auto, cpu or cuda.
        stop: strings that end a text and are not a part of it.
        on_text: called with what the first sample gains, as it is written.
        decoding: arguments of `lightning_dl2.decoding.Decoding`.

    Returns:
        For each prompt its samples, and the vocabulary that decodes them: `vocabulary.decode(sample.tokens)`.

    Raises:
        UserError: no run, none that writes, or a setting or prompt that is impossible.
    """
    run = run if isinstance(run, Run) else Run.existing(run)
    config = run.config()
    if config.task.name != "text_generator":
        raise UserError(f"run={run.path}: holds a {config.task.name}; allowed: a run of a text_generator")
    path = run.checkpoint(checkpoint)

    import torch

    from lightning_dl2.callbacks.samples import start_token
    from lightning_dl2.decoding import Decoding
    from lightning_dl2.decoding import generate as decode
    from lightning_dl2.decoding.vocabulary import Vocabulary
    from lightning_dl2.run.log import logging_to
    from lightning_dl2.tasks.build import load_task

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: this machine has no GPU that torch can use; allowed: auto, cpu")
    with logging_to(None):
        task = load_task(config.task.name, path, checkpoint)
    vocabulary = Vocabulary.of(task.spec["vocabulary"])
    prompts = [prompts] if isinstance(prompts, str) else prompts
    encoded = [_encoded(vocabulary, "prompt", text, unknown) for text in prompts]
    stops = [_encoded(vocabulary, "stop", text, "error") for text in stop]
    try:
        settings = Decoding(**decoding)
    except ValueError as error:
        message = str(error)
        for ours, theirs in DECODING_NAMES.items():
            message = message.replace(theirs, ours)
        raise UserError(message) from error

    decoder = vocabulary.decoder()

    def on_token(row: int, token: int) -> None:
        if row == 0 and on_text:
            on_text(decoder(token))

    if device != "cpu" and torch.cuda.is_available():
        task.cuda()
    try:
        with cpu.configured(config.trainer):
            results = decode(
                task.net,
                encoded,
                settings,
                start_token=start_token(vocabulary),
                stop=stops,
                on_token=on_token if on_text else None,
            )
    except ValueError as error:  # it has diverged
        raise UserError(f"checkpoint={checkpoint}: {error}") from error
    if on_text:
        on_text(decoder.flush())
    return results, vocabulary


def _encoded(vocabulary: "Vocabulary", key: str, text: str, unknown: str) -> list[int]:
    try:
        return vocabulary.encode(text, unknown)
    except ValueError as error:
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
        # A line's end or a tab would be seen as a space, or not at all.
        shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in shown)
        raise UserError(f"{key}={shown}: {error}") from error
