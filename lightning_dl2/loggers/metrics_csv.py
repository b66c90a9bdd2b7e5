"""Write metrics.csv: every logged metric by step, in one file for a run however often it is resumed."""

import csv
import logging
from io import StringIO
from itertools import takewhile
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from lightning_dl2.common.files import WriteError, csv_text, flush, open_to_append, write_text, writing
from lightning_dl2.common.run_files import read_metrics
from lightning_dl2.common.statistics import split_of, with_split

log = logging.getLogger(__name__)


def _is_test(row: dict[str, str]) -> bool:
    return any(value and split_of(key) == "test" for key, value in row.items())


class MetricsCSV(Logger):
    """Log to a table with a row for each call and a column for each metric; a missing value is empty.

    Args:
        last_step: drop the rows after this step, since the resumed run logs them again, and the rows of a test,
            which belong to the former end of the run.

    Raises:
        Damaged: the file is no such table.
    """

    def __init__(self, path: Path, last_step: int) -> None:
        super().__init__()
        self.path = path
        read = read_metrics(path, tell=getattr(rank_zero_only, "rank", None) == 0)
        kept = [row for row in read if int(row["step"]) <= last_step and not _is_test(row)]
        self.rows = [{key: value for key, value in row.items() if value} for row in kept]
        # A column of dropped rows alone, such as a test's, goes: the run that never stopped adds it later.
        filled = {"step"}.union(*self.rows)
        self.columns = [key for key in kept[0] if key in filled] if kept else ["step"]
        self.split: str | None = None  # the split that names without one are of: a resumed run drops those of a test
        self._unwritten = 0
        self._is_on_disk = True
        self._may_be_cut = False  # a failed append may have written a part of a row
        if path.exists() and getattr(rank_zero_only, "rank", None) == 0:
            self._write_all(self.columns)

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Log nothing: config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        values = {key: repr(float(value)) for key, value in metrics.items() if key not in ("step", "epoch")}
        if self.split:
            values = {with_split(key, self.split): value for key, value in values.items()}
        row = {"step": str(int(step or 0)), **values}
        same_step = takewhile(lambda earlier: earlier["step"] == row["step"], reversed(self.rows))
        # A resumed run repeats a validation that came after the checkpoint of the same step: log it once.
        if any(row == {key: value for key, value in there.items() if value} for there in same_step):
            return
        self.rows.append(row)
        self._unwritten += 1

    @rank_zero_only
    def save(self) -> None:
        """Append the new rows; rewrite the file for a new column, or after a failed append.

        Lightning calls it after each row. A checkpoint calls it once more, so that all rows are on the disk.
        After a failure the rows count as unwritten, and the columns are those of the file.

        Raises:
            WriteError: the file cannot be written.
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
        """Save once more at the end; after a failed training, log an error of the disk instead of raising it."""
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
