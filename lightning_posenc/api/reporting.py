"""`report` from Python."""

from pathlib import Path
from typing import TYPE_CHECKING

from lightning_posenc.api.shown import ShownResult
from lightning_posenc.api.words import Paths, joined, options, repeated, several
from lightning_posenc.report import export, panels
from lightning_posenc.report.command import Reported, reported
from lightning_posenc.report.findings import glance, results_section
from lightning_posenc.report.page import about
from lightning_posenc.report.pictures import drawn

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class ReportResult(ShownResult):
    """What a comparison of runs came to.

    Args:
        made: As the command leaves it.
    """

    def __init__(self, made: Reported) -> None:
        self._made = made
        self.html_page = made.files[1]

    @property
    def title(self) -> str:
        return about(self._made.study)

    @property
    def said(self) -> list[str]:
        found = glance(self._made.study, self._made.results)
        beware = [f"beware: {line}" for line in self._made.study.notices]
        return [f"{column}: {line}" for column, line in found.items()] + beware

    @property
    def table(self) -> "pd.DataFrame":
        """What was compared, by row and column: mean ± half the interval of 95 %, as text."""
        import pandas as pd

        shown = results_section(self._made.study, self._made.results).table
        assert shown is not None
        names, cells = zip(*((first.text, others) for first, *others in shown.rows), strict=True)
        index = pd.Index(names, name=shown.header[0])
        texts = [[f"{cell.text} {cell.mark}".strip() for cell in row] for row in cells]
        return pd.DataFrame(texts, index=index, columns=shown.header[1:])

    @property
    def numbers(self) -> "pd.DataFrame":
        """A line for each run and number: run, row, column, seed, metric, value."""
        return export.tidy(self._made.study)

    @property
    def figures(self) -> "dict[str, Figure]":
        study = self._made.study
        return {panel.title: drawn(panel, study.rows) for panel in panels.every(study)}


def report(
    runs: Paths,
    *,
    by: Paths | None = None,
    columns: Paths | None = None,
    metric: str | None = None,
    goal: str | None = None,
    baseline: str | None = None,
    seed: str | None = None,
    filter: Paths | None = None,
    select: str | None = None,
    export: Paths | None = None,
    out: str | Path | None = None,
) -> ReportResult:
    """Compare finished runs: tables with intervals, tests, curves, costs, one page.

    Example:
        >>> from lightning_posenc import api
        >>> api.report("runs/nowhere")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: report runs/nowhere: does not exist: ...

    Args:
        runs: Run directories, or directories that hold some, such as a sweep's.
        by: Keys of the config that make a row; None for the encoding and the positions.
        columns: Keys that make a column; None for the task or the data.
        metric: What is compared; None for the test metric that most runs have.
        goal: "max" or "min": what is better; None for what its name tells.
        baseline: The row that others are compared with; None for NoPE, else the first.
        seed: Key by which runs are paired; None for the whole run's seed.
        filter: "KEY=VALUE": only such runs.
        select: Of runs that differ in nothing else, the one with the best of this metric.
        export: "csv", "parquet", "latex": what is written besides.
        out: Where the report goes; None for the first of `runs`.

    Raises:
        ValueError: On what the command line refuses, in its words.
    """
    words = [str(path) for path in several(runs)]
    words += options(
        metric=metric, goal=goal, baseline=baseline, seed=seed, select=select,
        export=joined(export), out=out,
    )  # fmt: skip
    for name, values in (("by", by), ("columns", columns), ("filter", filter)):
        words += repeated(name, values)
    return ReportResult(reported(words))
