"""metrics.csv: every logged metric by step, one file for a run however often it is resumed."""

import csv
from collections.abc import Iterator
from io import StringIO
from itertools import takewhile
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from lightning_dl2.cli import UserError
from lightning_dl2.files import csv_text, flush, read_rows, write_text, writing


def _is_test(row: dict[str, str]) -> bool:
    return any(value and key.startswith("test/") for key, value in row.items())


class MetricsCSV(Logger):
    """A row each time metrics are logged, a column a metric, empty where a row does not have it.

    Args:
        path: the file.
        last_step: rows after this step are dropped, since the resumed run logs them again; so are those of a
            test, which stood at what was then the end.

    Raises:
        UserError: the file is no such table.
    """

    def __init__(self, path: Path, last_step: int) -> None:
        super().__init__()
        self.path = path
        try:
            kept = [row for row in read_rows(path) if int(row["step"]) <= last_step and not _is_test(row)]
        except (csv.Error, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path}: is damaged; allowed: to remove it, without its rows, or resume=restart"
            ) from error
        self.rows = [{key: value for key, value in row.items() if value} for row in kept]
        # Without the columns that only dropped rows had, such as a test's: the run that never stopped adds them later.
        filled = {"step"}.union(*self.rows)
        self.columns = [key for key in kept[0] if key in filled] if kept else ["step"]
        self._unwritten = 0
        self._is_on_disk = True
        if path.exists() and rank_zero_only.rank == 0:
            self._write_all()

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        values = {key: repr(float(value)) for key, value in metrics.items() if key not in ("step", "epoch")}
        row = {"step": str(int(step or 0)), **values}
        # A validation between two batches of one step comes after its checkpoint: a resumed run repeats it.
        if any(row == {key: value for key, value in there.items() if value} for there in self._rows_at(row["step"])):
            return
        self.rows.append(row)
        self._unwritten += 1

    def _rows_at(self, step: str) -> Iterator[dict[str, str]]:
        return takewhile(lambda row: row["step"] == step, reversed(self.rows))

    @rank_zero_only
    def save(self) -> None:
        """Appends the new rows; writes the file anew when there is a new column.

        Lightning calls it after each row. A checkpoint calls it once more: then the disk, too, is to have them all.

        Raises:
            WriteError: the disk does not take them.
        """
        new = self.rows[len(self.rows) - self._unwritten :]
        if not new:
            if not self._is_on_disk:
                with writing(self.path):
                    flush(self.path)
                self._is_on_disk = True
            return
        columns = list(dict.fromkeys([*self.columns, *(key for row in new for key in row)]))
        if columns != self.columns or not self.path.exists():
            self.columns = columns
            self._write_all()
        else:
            with writing(self.path), open(self.path, "a", encoding="utf-8", newline="") as file:
                file.write(self._text(new))
            self._is_on_disk = False
        self._unwritten = 0

    def _write_all(self) -> None:
        write_text(self.path, csv_text([self.columns]) + self._text(self.rows))

    def _text(self, rows: list[dict[str, str]]) -> str:
        text = StringIO()
        csv.DictWriter(text, self.columns, restval="", lineterminator="\n").writerows(rows)
        return text.getvalue()
