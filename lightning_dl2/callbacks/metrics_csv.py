"""metrics.csv: every logged metric by step, one file for a run however often it is resumed."""

import csv
from io import StringIO
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from lightning_dl2.files import write_text


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a metrics.csv, without a last one that was cut short. No file: no rows."""
    if not path.exists():
        return []
    text = path.read_text()
    return list(csv.DictReader(StringIO(text[: text.rfind("\n") + 1])))


def _is_test(row: dict[str, str]) -> bool:
    return any(value and key.startswith("test/") for key, value in row.items())


class MetricsCSV(Logger):
    """A row each time metrics are logged, a column a metric, empty where a row does not have it.

    Args:
        path: the file.
        last_step: rows after this step are dropped, since the resumed run logs them again; so are those of a
            test, which stood at what was then the end.
    """

    def __init__(self, path: Path, last_step: int) -> None:
        super().__init__()
        self.path = path
        self.rows = [row for row in read_rows(path) if int(row["step"]) <= last_step and not _is_test(row)]
        self.columns = list(self.rows[0]) if self.rows else ["step"]
        self._unwritten = 0
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
        self.rows.append({"step": str(int(step or 0)), **values})
        self._unwritten += 1

    @rank_zero_only
    def save(self) -> None:
        """Appends the new rows; writes the file anew when there is a new column. Lightning calls it after each row."""
        new = self.rows[len(self.rows) - self._unwritten :]
        if not new:
            return
        columns = list(dict.fromkeys([*self.columns, *(key for row in new for key in row)]))
        if columns != self.columns or not self.path.exists():
            self.columns = columns
            self._write_all()
        else:
            with open(self.path, "a", newline="") as file:
                file.write(self._text(new))
        self._unwritten = 0

    def _write_all(self) -> None:
        header = StringIO()
        csv.writer(header, lineterminator="\n").writerow(self.columns)
        write_text(self.path, header.getvalue() + self._text(self.rows))

    def _text(self, rows: list[dict[str, str]]) -> str:
        text = StringIO()
        csv.DictWriter(text, self.columns, restval="", lineterminator="\n").writerows(rows)
        return text.getvalue()
