"""metrics.csv: every logged metric by step, one file for a run however often it is resumed."""

import csv
import logging
from collections.abc import Iterator
from io import StringIO
from itertools import takewhile
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from lightning_dl2.common.files import WriteError, csv_text, flush, open_to_append, read_rows, write_text, writing
from lightning_dl2.common.run_files import read_metrics

__all__ = ["MetricsCSV", "read_rows"]

log = logging.getLogger(__name__)


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
        read = read_metrics(path, tell=getattr(rank_zero_only, "rank", None) == 0)
        kept = [row for row in read if int(row["step"]) <= last_step and not _is_test(row)]
        self.rows = [{key: value for key, value in row.items() if value} for row in kept]
        # Without the columns that only dropped rows had, such as a test's: the run that never stopped adds them later.
        filled = {"step"}.union(*self.rows)
        self.columns = [key for key in kept[0] if key in filled] if kept else ["step"]
        self._unwritten = 0
        self._is_on_disk = True
        self._may_be_cut = False  # an append failed, perhaps within a row
        if path.exists() and getattr(rank_zero_only, "rank", None) == 0:
            self._write_all(self.columns)

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
        """Append the new rows; write the file anew when there is a new column, or when an append has failed.

        Lightning calls it after each row. A checkpoint calls it once more: then the disk, too, is to have them all.
        After a failure the rows count as unwritten, and the columns are those of the file.

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
        if columns != self.columns or self._may_be_cut or not self.path.exists():
            self._write_all(columns)
        else:
            self._may_be_cut = True
            with writing(self.path), open_to_append(self.path) as file:
                file.write(self._text(new, columns))
            self._may_be_cut = self._is_on_disk = False
        self._unwritten = 0

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Save once more, as Lightning asks at the end; after a failure, what the disk answers must not hide it."""
        try:
            self.save()
        except WriteError as error:
            if status != "failed":
                raise
            log.error("%s", error)

    def _write_all(self, columns: list[str]) -> None:
        write_text(self.path, csv_text([columns]) + self._text(self.rows, columns))
        self.columns, self._may_be_cut, self._is_on_disk = columns, False, True

    @staticmethod
    def _text(rows: list[dict[str, str]], columns: list[str]) -> str:
        text = StringIO()
        csv.DictWriter(text, columns, restval="", lineterminator="\n").writerows(rows)
        return text.getvalue()
