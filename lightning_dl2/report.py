"""Report: what many runs came to, as tables and as a page to look at.

    python -m lightning_dl2.report DIR [DIR ...] [out=report.html] [details=30] [over=KEY,...]

DIR is a run directory or any tree of them, also of what `analyze` and sweeps have drawn. Seeds of the same choices are
put together: mean ± standard deviation over the runs that completed. Written are `out`, one HTML file that needs no
network, and beside it the tables as .md, .csv and, a line a run, _runs.csv. `details` is the number of variants of each
experiment, the best ones, whose curves, samples and runs the page shows. `over=data.fold` takes the mean over folds,
too, of all runs alike. Damaged directories are named and skipped.

The last line of standard output is the page.
"""

import sys
from pathlib import Path

from lightning_dl2.cli import UserError, command, console, nearest, settings


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return command(_main, argv)


def _main(words: list[str]) -> int:
    if not words or "--help" in words or "-h" in words:
        print(__doc__.strip())
        return 0
    directories, out, details, over = _read(words)
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from lightning_dl2.files import write_text
    from lightning_dl2.reporting import page, records, tables, variants

    screen = console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.completed} {task.description}")
    with Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True) as progress:
        read = progress.add_task("runs read")
        found = records.find(directories, lambda path: progress.advance(read))
        known = {key for record in found.records for key in record.choices}
        if unknown := [key for key in over if key not in known]:
            raise UserError(f"over={unknown[0]}: is no key of these runs; {nearest(unknown[0], sorted(known))}")
        experiments = variants.experiments(found, over)
        notes = [records.printable(f"{path}: {why}") for path, why in found.skipped]
        drawn = progress.add_task("variants drawn")
        html = page.render(
            experiments, found.pictures, notes, details=details, progress=lambda label: progress.advance(drawn)
        )
    for experiment in experiments:
        console().print(tables.table(experiment))
    for note in notes:
        print(f"skipped: {note}", file=sys.stderr)
    texts = {
        out: html,
        out.with_suffix(".md"): tables.markdown(experiments, notes),
        out.with_suffix(".csv"): tables.variants_csv(experiments),
        out.with_name(f"{out.stem}_runs.csv"): tables.runs_csv(experiments),
    }
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            write_text(path, records.printable(text))
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror or error}") from error
    print(out)
    return 0


def _read(words: list[str]) -> tuple[list[Path], Path, int, list[str]]:
    """Directories, the page, the number of details, further keys. Directories' names, too, hold equality signs."""
    directories = [word for word in words if "=" not in word or _path(word).is_dir()]
    others = [word for word in words if word not in directories]
    values = settings(others, out="report.html", details="30", over="seed")
    if not directories:
        raise UserError("DIR: is missing; allowed: run directories or trees of them")
    out, details = _path(values["out"]), values["details"]
    if out.suffix != ".html":
        raise UserError(f"out={out}: allowed: a name that ends in .html")
    if not (details.isascii() and details.isdigit()):
        raise UserError(f"details={details}: allowed: a whole number of at least 0")
    _check_free(out)
    return (
        [_path(word) for word in directories],
        out,
        int(details),
        [k for k in values["over"].split(",") if k != "seed"],
    )


def _path(word: str) -> Path:
    try:
        path = Path(word).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{word[:80]}: is no path: {getattr(error, 'strerror', None) or error}") from error
    return path


def _check_free(out: Path) -> None:
    """Nothing but an earlier report may be replaced, neither by the page nor by the tables beside it."""
    from lightning_dl2.reporting.page import TITLE
    from lightning_dl2.reporting.records import RUN_FILES

    if any((out.parent / name).exists() for name in RUN_FILES):
        raise UserError(f"out={out}: lies in a run's directory; allowed: a name elsewhere")
    if out.exists():
        if not out.is_file() or f"<title>{TITLE}" not in out.read_text("utf-8", "replace")[:2000]:
            raise UserError(f"out={out}: is something else; allowed: a name that is free, or an earlier report's")
        return
    for path in (out.with_suffix(".md"), out.with_suffix(".csv"), out.with_name(f"{out.stem}_runs.csv")):
        if path.exists():
            raise UserError(f"out={out}: {path} is there already, and no report's; allowed: a name that is free")


if __name__ == "__main__":
    sys.exit(main())
