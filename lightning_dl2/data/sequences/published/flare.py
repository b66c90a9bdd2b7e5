"""Read a language of FLaRe, the benchmark of formal language recognition: strings, and whether each is a member.

    main.tok, labels.txt    training: a string a line, its symbols between spaces; its label, 1 or 0
    datasets/NAME/...       the same, of further sets; those in SETS are validation and test

Source: Butoi et al., ICLR 2025, https://github.com/rycolab/flare.
"""

from pathlib import Path

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.sequences.raw_sequences import Answer, RawSequences, from_symbols, join

STRINGS, LABELS = "main.tok", "labels.txt"
SETS = {"train": ".", "val": "datasets/validation-short", "test": "datasets/test"}
END = "<end>"  # is read behind each string, so that the empty one has a step, too


def read_flare(path: Path, answer: Answer) -> RawSequences:
    """Read the sequences of a language, each with END behind it; the label is that of the whole sequence.

    Raises:
        UserError: a set that is missing or damaged, or another answer.
    """
    if answer != "label":
        raise UserError(f"data.answer={answer}: {path} has a label for each string; allowed: label")
    where = f"data.path={path}"
    parts = {split: _read_set(path / folder, where) for split, folder in SETS.items()}
    raw = join(parts, where)
    others = sorted(each.name for each in (path / "datasets").iterdir() if f"datasets/{each.name}" not in SETS.values())
    notes = [f"{END} is read behind each string"]
    if others:
        notes.append(f"not read: datasets/{', datasets/'.join(others)}")
    raw.notes = tuple(notes)
    return raw


def _read_set(folder: Path, where: str) -> RawSequences:
    lines = []
    for name in (STRINGS, LABELS):
        if not (folder / name).is_file():
            raise UserError(f"{where}: {folder / name} is missing; allowed: {STRINGS} and {LABELS} of each set")
        lines.append((folder / name).read_text("utf-8").removesuffix("\n").split("\n"))
    strings, labels = lines
    if len(strings) != len(labels):
        file = folder / LABELS
        raise UserError(f"{file}: has {len(labels)} lines, but {STRINGS} {len(strings)}; allowed: one for each string")
    for number, (string, label) in enumerate(zip(strings, labels, strict=True), 1):
        if label not in ("0", "1"):
            raise UserError(f"{folder / LABELS}:{number}: {label[:40]!r}; allowed: 0 or 1")
        if END in string.split():
            raise UserError(f"{folder / STRINGS}:{number}: has a symbol {END}; allowed: any other")
    return from_symbols([[*string.split(), END] for string in strings], labels, None, where)
