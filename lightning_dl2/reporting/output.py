"""Write the files of a report: the page, and the tables beside it."""

from pathlib import Path

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import write_text
from lightning_dl2.reporting import matrix_tables, tables
from lightning_dl2.reporting.matrix import Matrix
from lightning_dl2.reporting.page import TITLE
from lightning_dl2.reporting.records import RUN_FILES, printable
from lightning_dl2.reporting.variants import Experiment


def beside(out: Path) -> tuple[Path, Path, Path, Path]:
    """Return the paths of the tables of a page: Markdown, CSV of the variants, of the runs, of the matrices."""
    names = (f"{out.stem}{end}" for end in ("_runs.csv", "_matrix.csv"))
    runs, fields = map(out.with_name, names)
    return out.with_suffix(".md"), out.with_suffix(".csv"), runs, fields


def check_free(out: Path) -> None:
    """Check that the page and the tables would replace nothing but an earlier report.

    Raises:
        UserError: another file is in their place, or `out` is no HTML file or lies in a run directory.
    """
    if out.suffix != ".html":
        raise UserError(f"out={out}: allowed: a name that ends in .html")
    if any((out.parent / name).exists() for name in RUN_FILES):
        raise UserError(f"out={out}: lies in a run directory; fix: choose another directory")
    if out.exists():
        if not out.is_file() or f"<title>{TITLE}" not in out.read_text("utf-8", "replace")[:2000]:
            raise UserError(f"out={out}: exists and is not a report; fix: choose another name")
        return
    for path in beside(out):
        if path.exists():
            raise UserError(f"out={out}: {path} exists without its page; fix: choose another name")


def write(out: Path, html: str, experiments: list[Experiment], matrices: list[Matrix], notes: list[str]) -> None:
    """Write the page and its tables, each of them whole or not at all; without a matrix no table of one.

    Raises:
        UserError: one of them cannot be written.
    """
    plain = tables.markdown(experiments, notes, map(matrix_tables.markdown, matrices))
    texts = html, plain, tables.variants_csv(experiments), tables.runs_csv(experiments)
    *paths, fields = out, *beside(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # The page first: the next call replaces tables only beside a page.
        for path, text in zip(paths, texts, strict=True):
            write_text(path, printable(text))
        if matrices:
            write_text(fields, printable(matrix_tables.fields_csv(matrices)))
        else:
            fields.unlink(missing_ok=True)  # of an earlier report
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror or error}") from error
