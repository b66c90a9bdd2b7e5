"""Generate: let the text generator of a run write, from its directory alone.

    python -m lightning_dl2.generate run=DIR prompt="Sleeping beauty is" length=200 temperature=0.8 num_samples=3

    run=DIR  checkpoint=best|last|FILE
    prompt=TEXT              what to go on from; may be empty. prompts=FILE: one a line; prompts=-: from standard input
    unknown=error            characters the net has never seen: error | skip | nearest (by Unicode normalisation);
                             the prompt is printed as typed
    length=200               characters to write at most    stop=TEXT  ends before it (a JSON list: several)
    num_samples=1 seed=0     the same seed writes the same text
    do_sample=true           false: the likeliest character each time
    temperature=1.0          divides the logits; 0 is greedy. inverse_temperature=B multiplies them instead
    top_k=0 top_p=1.0 min_p=0.0 typical_p=1.0 repetition_penalty=1.0
    num_beams=1 length_penalty=1.0   beam search; num_samples of the beams are returned, best first
    out=FILE                 writes there instead; format=text|jsonl (text, log-probabilities, seed, settings)
    device=auto              auto | cpu | cuda

The first sample appears on standard output as it is written, the others follow.
"""

import json
import sys
from dataclasses import asdict
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from lightning_dl2 import cpu
from lightning_dl2.cli import UserError, command
from lightning_dl2.request import WORDS, Settings, parse, read_prompts, read_stops
from lightning_dl2.run import Run
from lightning_dl2.values import out_file, write_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightning_dl2.data.vocabulary import Vocabulary
    from lightning_dl2.decoding import Generated


RULE = "-" * 80
SHOWN = 40  # characters of a prompt in an error


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return command(_main, argv)


def _main(words: list[str]) -> int:
    if "--help" in words or "-h" in words:
        print(__doc__.strip())
        return 0
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal of another encoding shows ? for what it cannot show
    settings = parse(words)
    prompts = read_prompts(settings)
    out = None if settings.out is None else out_file(settings.out)
    streams = out is None and settings.format != "jsonl"
    begun: list[str] = []

    def on_text(text: str) -> None:
        if not begun:  # only now is it known that there is something to print
            begun.append(prompts[0])
            print(prompts[0], end="")
        print(text, end="", flush=True)

    results, vocabulary = generate(
        settings.run,
        prompts,
        checkpoint=settings.checkpoint,
        unknown=settings.unknown,
        stop=read_stops(settings.stop),
        device=settings.device,
        on_text=on_text if streams else None,
        **settings.decoding(),
    )
    rows = [(prompt, sample) for prompt, samples in zip(prompts, results, strict=True) for sample in samples]
    jsonl = settings.format == "jsonl" or (settings.format is None and (settings.out or "").endswith(".jsonl"))
    if jsonl:
        text = "".join(_json_line(prompt, sample, vocabulary, settings) for prompt, sample in rows)
    else:
        text = f"\n{RULE}\n".join(prompt + vocabulary.decode(sample.tokens) for prompt, sample in rows) + "\n"
    if out:
        write_to(out, text)
    elif streams:  # the first sample is on the screen already
        first = prompts[0] + vocabulary.decode(rows[0][1].tokens)
        print(text[len(first) :], end="")
    else:
        print(text, end="")
    return 0


def _json_line(prompt: str, sample: "Generated", vocabulary: Any, settings: Settings) -> str:
    values = {"prompt": prompt, "text": vocabulary.decode(sample.tokens)} | asdict(sample)
    values["prompt_tokens"] = sample.prompt
    values["prompt"] = prompt
    names = ("run", "checkpoint", "unknown", "stop")
    values["settings"] = settings.decoding() | {name: getattr(settings, name) for name in names}
    return json.dumps(values) + "\n"  # ASCII, which no terminal's encoding can spoil


def generate(
    run: str | Run,
    prompts: str | list[str],
    *,
    checkpoint: str = "best",
    unknown: str = "error",
    stop: tuple[str, ...] = (),
    device: str = "auto",
    on_text: "Callable[[str], None] | None" = None,
    **decoding: Any,
) -> "tuple[list[list[Generated]], Any]":
    """Lets the text generator of a run go on from `prompts`.

    Args:
        run: the run directory.
        prompts: texts to go on from; an empty one is as good as any.
        checkpoint: best, last, or the name of a file.
        unknown: what becomes of characters that are not in the vocabulary: error, skip or nearest.
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
    from lightning_dl2.data.vocabulary import Vocabulary
    from lightning_dl2.decoding import Decoding
    from lightning_dl2.decoding import generate as decode
    from lightning_dl2.log import logging_to
    from lightning_dl2.tasks import load_task

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
        for ours, theirs in WORDS.items():
            message = message.replace(theirs, ours)
        raise UserError(message) from error

    decoder = vocabulary.decoder()

    def on_token(row: int, token: int) -> None:
        if row == 0:
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
        raise UserError(f"{key}={shown}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
