"""`metrics.csv` in the run directory itself, continued when a run is resumed."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from lightning_posenc.compat.lightning import TableWriter
from lightning_posenc.runs.whole_files import whole_file


class MetricsCSV(CSVLogger):
    """Lightning's CSV logger without its own tree of names and versions.

    Every row is in the file as soon as it is logged, so that no row is lost with the process.

    Args:
        run_dir: The run directory.
        first_step: Steps that the run has taken already: the file keeps what it says of them and
            forgets what followed, which will be logged again. 0 begins the file anew.
        last_row: What was to be logged of the step before, if the run was stopped before that.
    """

    def __init__(
        self, run_dir: Path, first_step: int = 0, last_row: dict[str, Any] | None = None
    ) -> None:
        super().__init__(save_dir=run_dir, name="", version="", flush_logs_every_n_steps=1)
        self._first_step = first_step
        self._last_row = last_row
        self._writer: _ContinuedWriter | None = None

    @property
    def experiment(self) -> "_ContinuedWriter":
        if self._writer is None:
            self._writer = _ContinuedWriter(self.log_dir, self._first_step, self._last_row)
        return self._writer

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._writer is not None:
            if status == "success":
                self._writer.begin()
            self.save()

    def log_hyperparams(self, params: object = None) -> None:
        """Nothing: `config.yaml` beside the metrics holds the whole config."""


class _ContinuedWriter(TableWriter):
    """Touches the file with the first row that it is given: an attempt to go on with a run may
    fail before.
    """

    def __init__(self, log_dir: str, first_step: int, last_row: dict[str, Any] | None) -> None:
        self._first_step = first_step
        self._last_row = last_row
        self._begun = False
        self._known: list[set[str]] = []  # columns of the rows of the last step before the first
        super().__init__(log_dir)

    def begin(self) -> None:
        """Forget what will be logged again, and add what an earlier part of the run had not."""
        if self._begun:
            return
        self._begun = True
        path = Path(self.metrics_file_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _forget(path, self._first_step)
        if path.is_file():
            self.metrics_keys, rows = _read(path)
            for row in rows:
                if row["step"] == str(self._first_step - 1):
                    self._known.append({key for key, value in row.items() if value} - {"step"})
        if self._last_row is not None:
            self.log_metrics(self._last_row, self._first_step - 1)
            self.save()

    def log_metrics(self, metrics_dict: dict[str, Any], step: int | None = None) -> None:
        self.begin()
        # A checkpoint is written between the rows of a step: some of them come a second time.
        if step != self._first_step - 1 or set(metrics_dict) not in self._known:
            super().log_metrics(metrics_dict, step)

    def rewrite(self, fieldnames: list[str]) -> None:
        path = Path(self.metrics_file_path)
        _write(path, fieldnames, _read(path)[1])


@rank_zero_only
def _forget(path: Path, first_step: int) -> None:
    """Drop the rows of `first_step` and later ones, and a last line that was not finished."""
    if not path.is_file():
        return
    keys, rows = _read(path)
    kept = [row for row in rows if int(row["step"]) < first_step]
    if kept:
        _write(path, keys, kept)
    else:
        path.unlink()


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    with path.open(newline="") as file:
        lines = [line for line in file if line.endswith("\n")]
    reader = csv.DictReader(lines)
    return list(reader.fieldnames or []), list(reader)


def _write(path: Path, keys: list[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with whole_file(path, newline="") as file:
        writer = csv.DictWriter(file, keys)
        writer.writeheader()
        writer.writerows(rows)
