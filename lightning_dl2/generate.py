"""Generate: continue texts with the text generator of a run, from its directory alone.

    python -m lightning_dl2.generate run=DIR prompt="Sleeping beauty is" length=200 temperature=0.8 num_samples=3

    run=DIR  checkpoint=best|last|FILE
    prompt=TEXT              text to continue, may be empty; prompts=FILE has one on each line, - is standard input
    unknown=error            for characters outside the vocabulary: error | skip | nearest (by Unicode normalisation);
                             the prompt is printed as typed
    length=200               most characters to generate
    stop=TEXT                ends the text before TEXT; a JSON list has several; \\n is a new line, \\t a tab,
                             \\\\ a backslash
    num_samples=1 seed=0     the same seed generates the same text
    do_sample=true           false: always the most likely character
    temperature=1.0          divides the logits; 0 is greedy. inverse_temperature=B multiplies them instead
    top_k=0 top_p=1.0 min_p=0.0 typical_p=1.0 repetition_penalty=1.0
    num_beams=1 length_penalty=1.0   beam search, which returns num_samples of the beams, best first
    out=FILE                 writes to FILE instead; format=text|jsonl (text, log-probabilities, seed, settings)
    device=auto              auto | cpu | cuda

The first sample appears on standard output while it is generated, the others follow.
"""

import json
import sys
from dataclasses import asdict
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from lightning_dl2.common.arguments import parse
from lightning_dl2.common.command import command, read_docstring
from lightning_dl2.common.paths import write_to
from lightning_dl2.inference.generate import generate
from lightning_dl2.inference.generate_arguments import GenerateArguments, read_prompts, read_stops

if TYPE_CHECKING:
    from lightning_dl2.decoding import Generated

RULE = "-" * 80


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return command(_main, argv, __doc__ or read_docstring(__file__))


def _main(argv: list[str]) -> int:
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal shows ? for what its encoding lacks
    arguments = parse(GenerateArguments, argv)
    prompts = read_prompts(arguments)
    out = arguments.out
    streams = out is None and arguments.format != "jsonl"
    begun: list[str] = []

    def on_text(text: str) -> None:
        if not begun:  # not earlier: an error is one line alone
            begun.append(prompts[0])
            print(prompts[0], end="")
        print(text, end="", flush=True)

    results, vocabulary = generate(
        arguments.run,
        prompts,
        checkpoint=arguments.checkpoint,
        unknown=arguments.unknown,
        stop=read_stops(arguments.stop),
        device=arguments.device,
        on_text=on_text if streams else None,
        **arguments.decoding(),
    )
    rows = [(prompt, sample) for prompt, samples in zip(prompts, results, strict=True) for sample in samples]
    jsonl = arguments.format == "jsonl" or (arguments.format is None and str(out).endswith(".jsonl"))
    if jsonl:
        text = "".join(_json_line(prompt, sample, vocabulary, arguments) for prompt, sample in rows)
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


def _json_line(prompt: str, sample: "Generated", vocabulary: Any, arguments: GenerateArguments) -> str:
    values = {"prompt": prompt, "text": vocabulary.decode(sample.tokens)} | asdict(sample)
    values["prompt_tokens"] = sample.prompt
    values["prompt"] = prompt
    names = ("run", "checkpoint", "unknown", "stop")
    values["settings"] = arguments.decoding() | {name: getattr(arguments, name) for name in names}
    return json.dumps(values) + "\n"  # ASCII, which no terminal's encoding can spoil


if __name__ == "__main__":
    sys.exit(main())
