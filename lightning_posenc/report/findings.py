"""What the table of results says: a sentence for each column, the table, the tests behind it."""

import math

from lightning_posenc.report import baselines
from lightning_posenc.report.effects import REFERENCES
from lightning_posenc.report.page import Cell, Section, Table, many
from lightning_posenc.report.results import Leader, Results
from lightning_posenc.report.statistics import MIN_PAIRS, Estimate, Paired, needed
from lightning_posenc.report.study import Study

MARKS = {1: "▲", -1: "▼", 0: ""}


def glance(study: Study, results: Results) -> dict[str, str]:
    """What each column shows, in a sentence."""
    return {column: _led(leader, column, results) for column, leader in results.leaders.items()}


def _led(leader: Leader, column: str, results: Results) -> str:
    of_best = results.cells[leader.best, column]
    best = f"{leader.best} {said_of(of_best)}"
    if leader.second is None:
        return f"only {best}"
    of_second = results.cells[leader.second, column]
    second = f"{leader.second} {said_of(of_second)}"
    comparison = leader.comparison
    if comparison is None or comparison.p is None:
        why = "" if comparison is None else f": not tested ({comparison.found.untested})"
        if of_best.mean == of_second.mean:
            return f"{best} and {second} are level{why}"
        return f"{best} has a better mean than {second}{why}"
    by = f"by {_difference(comparison.found, signed=False)}"
    tested = f"{by} over {comparison.found.n} common seeds, {said_p(comparison.p)}"
    winner = comparison.winner(results.higher)
    if winner == leader.second:
        return (
            f"{best} has a better mean than {second}, but of other seeds: {winner} is better "
            f"{tested}"
        )
    if winner is None:
        return f"{best} and {second} are level"
    if comparison.significant:
        return f"{best} is best, significantly better than {second} ({tested})"
    return f"{best} and {second} do not differ significantly ({tested})"


def results_section(study: Study, results: Results) -> Section:
    """The table of results, its rule, and every test behind it."""
    rows = []
    most = max((cell.n for cell in results.cells.values()), default=0)
    for row in study.rows:
        cells = [Cell(row)]
        for column in study.columns:
            found = results.cells.get((row, column))
            mark = MARKS[results.against_baseline(row, column, study.baseline)]
            if found is None:
                cells.append(Cell("–"))
                continue
            seeds = f" (n={found.n})" if found.n < most else ""
            cells.append(Cell(said_of(found) + seeds, results.bold(row, column), mark))
        rows.append(cells)
    tests = [
        [
            Cell(each.column),
            Cell(f"{each.first} against {each.second}"),
            Cell(_difference(each.found)),
            Cell("–" if each.found.effect is None else str(each.found.effect)),
            Cell(str(each.found.n)),
            Cell(each.found.untested if each.found.p is None else said_p(each.found.p, "")),
            Cell("–" if each.p is None else said_p(each.p, ""), each.significant),
        ]
        for each in results.comparisons
    ]
    header = [
        "column",
        "compared",
        "mean difference ± 95 %",
        "effect size d_z [95 %]",
        "pairs",
        "p",
        "p after Holm",
    ]
    return Section(
        "Results",
        _results_caption(study, results),
        Table(["", *study.columns], rows),
        folded=Table(header, tests, names=2) if tests else None,
        folded_title=f"all {many(len(tests), 'comparison')} of this table",
    )


def _results_caption(study: Study, results: Results) -> str:
    counts = sorted({cell.n for cell in results.cells.values()}) or [0]
    tested = sum(each.p is not None for each in results.comparisons)
    better = "higher" if study.metric.higher else "lower"
    said = [f"{_metric(study)}; {better} is better."]
    if study.tuned:
        said.append(study.tuned)
    if baseline := baselines.said(study):
        said.append(baseline)
    if not counts[-1]:
        return " ".join([*said, "No run has a finite number of it."])
    if counts[-1] < 2:
        said.append(
            "One seed each: no interval and no test, so differences may be noise; a test needs "
            f"{MIN_PAIRS} seeds that two rows have in common."
        )
        return " ".join(said)
    said.append(f"Mean over {counts[-1]} seeds ± half of the 95 % interval (Student's t)")
    said[-1] += ", fewer where n says so" if len(counts) > 1 else ""
    said[-1] += "; a cell of one seed has none." if counts[0] < 2 else "."
    if not tested and results.comparisons:
        said.append(
            f"Nothing was tested, so differences may be noise: a test needs {MIN_PAIRS} seeds that "
            "two rows have in common, and differences that are not all alike."
        )
    if tested:
        most = max(each.found.n for each in results.comparisons if each.p is not None)
        said.append(
            f"{MARKS[1]} significantly better, {MARKS[-1]} worse than {study.baseline}: by seed, "
            "the larger p of a paired t test and of a t test against the scatter of all rows, "
            f"< 0.05 after Holm's correction over all {many(tested, 'test')} of this table. That "
            f"wants a difference of {needed(tested, most):.2g} standard errors at {most} seeds, "
            f"and of {needed(tested, 2 * most):.2g} at {2 * most}."
        )
        said.append(
            "Bold: the best of a column, only where it is significantly better than the second "
            "best by the same rule."
        )
        if any(each.found.effect for each in results.comparisons):
            said.append(
                "Below, d_z: the mean difference by seed over its standard deviation from seed to "
                "seed, Cohen's d of the paired t test, corrected for few seeds "
                f"({REFERENCES}). With few seeds its interval is wide."
            )
    return " ".join(said)


def _difference(found: Paired, signed: bool = True) -> str:
    """A mean difference with its interval."""
    if math.isnan(found.difference):  # of no common seed
        return "–"
    mean = f"{found.difference:+.4g}" if signed else f"{abs(found.difference):.4g}"
    return mean if found.half is None else f"{mean} ± {found.half:.2g}"


def _metric(study: Study) -> str:
    """The metric, and which lengths it is of in each column."""
    title = study.metric.title
    if title == study.metric.key:
        return title
    parts = []
    for column in study.columns:
        found = {
            value.of
            for row in study.rows
            for run in study.at(row, column)
            if (value := study.metric.of(run)) is not None
        }
        parts.append((column, " or ".join(sorted(found))))
    if len({of for _, of in parts}) == 1:
        return f"{title} ({parts[0][1]})"
    return f"{title} ({'; '.join(f'{column}: {of}' for column, of in parts)})"


def said_of(found: Estimate) -> str:
    """A mean with its interval, to three or four digits."""
    size = abs(found.mean)
    digits = 3 if size < 10 else 2 if size < 100 else 1 if size < 10000 else 0
    mean = f"{found.mean:,.{digits}f}"
    return mean if found.half is None else f"{mean} ± {found.half:,.{digits}f}"


def said_p(p: float, name: str = "p ") -> str:
    """A p, as journals print it."""
    if p < 0.001:
        return f"{name}< 0.001".strip()
    return f"{name}{'= ' if name else ''}{p:.3f}"
