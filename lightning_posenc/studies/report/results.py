"""The table of results: means with intervals, and which differences are more than noise."""

from dataclasses import dataclass
from typing import NamedTuple

from lightning_posenc.studies.report.statistics import (
    LEVEL,
    Estimate,
    Paired,
    estimate,
    holm,
    paired,
)
from lightning_posenc.studies.report.study import Study


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
            leader and leader.best == row and leader.comparison and leader.comparison.significant
        )

    def against_baseline(self, row: str, column: str, baseline: str) -> int:
        """1 if significantly better than the baseline, -1 if worse, else 0."""
        for each in self.comparisons:
            if (each.column, each.first, each.second) == (column, row, baseline):
                better = (each.found.difference > 0) == self.higher
                return (1 if better else -1) if each.significant else 0
        return 0


def compare(study: Study) -> Results:
    """Every row with the baseline, and the best of every column with the second best.

    All of these tests are one family for Holm's correction. Where the second best is the baseline,
    that is one test.
    """
    frame = study.tidy(lambda run: getattr(study.metric.of(run), "value", None))
    values: dict[tuple[str, str], dict[str, float]] = {
        (str(row), str(column)): dict(zip(group["seed"], group["value"], strict=True))
        for (row, column), group in frame.groupby(["row", "column"], sort=False)
    }
    cells = {place: estimate(list(seeds.values())) for place, seeds in values.items()}
    pairs: dict[tuple[str, str, str], Paired] = {}
    best: dict[str, tuple[str, str | None]] = {}
    for column in study.columns:
        here = [row for row in study.rows if (row, column) in cells]
        for row in here:
            if row != study.baseline and study.baseline in here:
                base = values[study.baseline, column]
                pairs[column, row, study.baseline] = paired(values[row, column], base)
        order = sorted(here, key=lambda r: cells[r, column].mean, reverse=study.metric.higher)
        if order:
            second = order[1] if len(order) > 1 else None
            best[column] = order[0], second
            if second is not None and _key(pairs, column, order[0], second) is None:
                pair = paired(values[order[0], column], values[second, column])
                pairs[column, order[0], second] = pair
    corrected = holm({key: pair.p for key, pair in pairs.items() if pair.p is not None})
    made = {key: Comparison(*key, pair, corrected.get(key)) for key, pair in pairs.items()}
    leaders = {}
    for column, (first, second) in best.items():
        key = None if second is None else _key(made, column, first, second)
        leaders[column] = Leader(first, second, None if key is None else made[key])
    return Results(cells, list(made.values()), leaders, study.metric.higher)


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
