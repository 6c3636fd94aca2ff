"""The runs that count, arranged: rows, columns, seeds and the numbers that are compared."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightning_posenc.report.metrics import Criterion, choose
from lightning_posenc.report.runs import Run

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Study:
    """What a report is about.

    Args:
        runs: Those that count, in the order of rows, columns and seeds.
        rows: Names of the rows, the baseline first.
        columns: Names of the columns.
        row_of: Row of each run, by its name.
        column_of: Column of each run.
        seed_of: Seed of each run, as text.
        metric: What is compared.
        left_out: Runs that are not finished.
        notices: What a reader must know before believing a number.
        tuned: At which value of a key each row counts, in a sentence; "" if none was chosen.
        finished: All finished runs: those that count, and those that these were chosen from.
    """

    runs: list[Run]
    rows: list[str]
    columns: list[str]
    row_of: dict[str, str]
    column_of: dict[str, str]
    seed_of: dict[str, str]
    metric: Criterion
    left_out: list[Run]
    notices: list[str]
    tuned: str = ""
    finished: Sequence[Run] = ()

    @property
    def baseline(self) -> str:
        """The row that others are compared with."""
        return self.rows[0]

    @property
    def score(self) -> Criterion | None:
        """The test metric that is shown against length; None if runs have none by length."""
        if self.metric.name is not None:
            return self.metric
        try:
            found = choose(self.runs, None, None)
        except ValueError:  # a name that does not say what is better
            return None
        return found if found.name is not None else None

    @property
    def length_axis(self) -> str:
        """What lengths are to all runs, "length" where that differs."""
        said = {run.length_axis for run in self.runs}
        return said.pop() if len(said) == 1 else "length"

    def tidy(self, value: Callable[[Run], float | None]) -> "pd.DataFrame":
        """A number of each run that has one, with its row, column and seed."""
        import pandas as pd

        found = [
            (self.row_of[run.name], self.column_of[run.name], self.seed_of[run.name], x)
            for run in self.runs
            if (x := value(run)) is not None and math.isfinite(x)
        ]
        return pd.DataFrame(found, columns=["row", "column", "seed", "value"])

    def at(self, row: str, column: str | None = None) -> list[Run]:
        """Runs of a row, perhaps of one column only."""
        return [
            run
            for run in self.runs
            if self.row_of[run.name] == row and column in (None, self.column_of[run.name])
        ]
