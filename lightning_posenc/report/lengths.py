"""Up to which length does every row do its work?"""

import statistics
from typing import NamedTuple

from lightning_posenc.diagnostics.measures.effective_length import effective_length, learned
from lightning_posenc.report.baselines import bounds
from lightning_posenc.report.metrics import Criterion, by_length, trained_lengths
from lightning_posenc.report.runs import Run
from lightning_posenc.report.study import Study

NOTHING = -1  # below any length, and below none


class LengthsReached(NamedTuple):
    """Effective lengths of a row's seeds in a column.

    Args:
        lengths: One a seed, ascending; 0 where no length was done, NOTHING where nothing was
            learned.
        longest: The longest that was tested: whoever did it might do longer ones.
    """

    lengths: list[int]
    longest: int

    def __str__(self) -> str:
        low, high = self.lengths[0], self.lengths[-1]
        middle = statistics.median_low(self.lengths)
        said = self._one(middle)
        return said if low == high else f"{said} ({self._one(low)} to {self._one(high)})"

    def _one(self, length: int) -> str:
        if length <= 0:
            return "none" if length == 0 else "nothing learned"
        return f"≥ {length}" if length == self.longest else str(length)


def of_run(run: Run, metric: Criterion) -> int | None:
    """A run's effective length, 0 if it did none, NOTHING if it does no more at trained lengths
    than can be done without order; None if that cannot be said.

    It needs a metric of which more is better, trained lengths, and two tested ones.
    """
    scores, trained = by_length(run, str(metric.name)), trained_lengths(run)
    if trained is None or len(scores) < 2 or not metric.higher:
        return None
    if not learned(by_length(run, "acc"), trained, bounds(run)):
        return NOTHING
    length, wanted = effective_length(scores, trained)
    return None if wanted is None else length or 0


def reaches(study: Study, metric: Criterion) -> dict[tuple[str, str], LengthsReached]:
    """Effective lengths by row and column, where they are known."""
    found = {}
    for row in study.rows:
        for column in study.columns:
            runs = study.at(row, column)
            lengths = [each for run in runs if (each := of_run(run, metric)) is not None]
            if lengths:
                longest = max(length for run in runs for length in by_length(run, str(metric.name)))
                found[row, column] = LengthsReached(sorted(lengths), longest)
    return found
