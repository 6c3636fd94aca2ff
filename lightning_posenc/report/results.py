"""The table of results: means with intervals, and which differences are more than noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lightning_posenc.report.baselines import different_vocabularies
from lightning_posenc.report.statistics import (
    LEVEL,
    Estimate,
    Paired,
    estimate,
    holm,
    paired,
)
from lightning_posenc.report.study import Study


class Comparison(NamedTuple):
    """Two rows in one column.

    Args:
        column: Which.
        first: A row.
        second: The row it is compared with.
        found: The paired comparison, by seed.
        p: Its p after Holm's correction over all comparisons of the table; None if not tested.
    """

    column: str
    first: str
    second: str
    found: Paired
    p: float | None

    @property
    def significant(self) -> bool:
        """Whether the difference is more than noise."""
        return self.p is not None and self.p < LEVEL

    def winner(self, higher: bool) -> str | None:
        """The row that is better over the common seeds; None if they are level or have none."""
        if not abs(self.found.difference) > 0:  # NaN of no pairs, too
            return None
        return self.first if (self.found.difference > 0) == higher else self.second


class Leader(NamedTuple):
    """The best of a column, and what it was compared with."""

    best: str
    second: str | None
    comparison: Comparison | None


@dataclass(frozen=True)
class Results:
    """What the table says.

    Args:
        cells: Mean over seeds by row and column, where there is one.
        comparisons: All tests of the table.
        leaders: The best by column.
        higher: Whether more is better.
    """

    cells: dict[tuple[str, str], Estimate]
    comparisons: list[Comparison]
    leaders: dict[str, Leader]
    higher: bool

    def bold(self, row: str, column: str) -> bool:
        """Whether a row is the best of a column by more than noise."""
        leader = self.leaders.get(column)
        return bool(
            leader
            and leader.best == row
            and leader.comparison
            and leader.comparison.significant
            and leader.comparison.winner(self.higher) == row
        )

    def against_baseline(self, row: str, column: str, baseline: str) -> int:
        """1 if significantly better than the baseline, -1 if worse, else 0.

        0 too where the means that are shown, of more seeds than the two have in common, say the
        opposite of the test.
        """
        for each in self.comparisons:
            if (each.column, each.first, each.second) == (column, row, baseline):
                shown = self.cells[row, column].mean - self.cells[baseline, column].mean
                if not each.significant or shown * each.found.difference <= 0:
                    return 0
                return 1 if each.winner(self.higher) == row else -1
        return 0


def compare(study: Study) -> Results:
    """Every row with the baseline, and the best of every column with the second best.

    Nothing is compared where the numbers count tokens of different vocabularies.
    """
    frame = study.tidy(lambda run: getattr(study.metric.of(run), "value", None))
    values: dict[tuple[str, str], dict[str, float]] = {
        (str(row), str(column)): dict(zip(group["seed"], group["value"], strict=True))
        for (row, column), group in frame.groupby(["row", "column"], sort=False)
    }
    if different_vocabularies(study):
        cells = {place: estimate(list(seeds.values())) for place, seeds in values.items()}
        return Results(cells, [], {}, study.metric.higher)
    return results_of(values, study.rows, study.columns, study.metric.higher)


def results_of(
    values: Mapping[tuple[str, str], Mapping[str, float]],
    rows: Sequence[str],
    columns: Sequence[str],
    higher: bool,
) -> Results:
    """The same of plain numbers.

    All of these tests are one family for Holm's correction. Where the second best is the baseline,
    that is one test.

    Args:
        values: By row and column: by seed.
        rows: The baseline first.
        columns: All of them.
        higher: Whether more is better.
    """
    cells = {place: estimate(list(seeds.values())) for place, seeds in values.items()}
    pairs: dict[tuple[str, str, str], Paired] = {}
    best: dict[str, tuple[str, str | None]] = {}
    for column in columns:
        here = [row for row in rows if (row, column) in cells]

        def pair(first: str, second: str, column: str = column, here: list[str] = here) -> None:
            others = [values[row, column] for row in here if row not in (first, second)]
            one, other = values[first, column], values[second, column]
            pairs[column, first, second] = paired(one, other, others)

        if rows[0] in here:
            for row in here:
                if row != rows[0]:
                    pair(row, rows[0])
        order = sorted(here, key=lambda r: cells[r, column].mean, reverse=higher)
        if order:
            second = order[1] if len(order) > 1 else None
            best[column] = order[0], second
            if second is not None and _key(pairs, column, order[0], second) is None:
                pair(order[0], second)
    corrected = holm({key: pair.p for key, pair in pairs.items() if pair.p is not None})
    made = {key: Comparison(*key, pair, corrected.get(key)) for key, pair in pairs.items()}
    leaders = {}
    for column, (first, second) in best.items():
        key = None if second is None else _key(made, column, first, second)
        leaders[column] = Leader(first, second, None if key is None else made[key])
    return Results(cells, list(made.values()), leaders, higher)


def _key(
    pairs: dict[tuple[str, str, str], Paired] | dict[tuple[str, str, str], Comparison],
    column: str,
    one: str,
    other: str,
) -> tuple[str, str, str] | None:
    """Under which name two rows are compared already, if they are."""
    for key in ((column, one, other), (column, other, one)):
        if key in pairs:
            return key
    return None
