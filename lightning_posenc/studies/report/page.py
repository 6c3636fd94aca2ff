"""The page: what is said of a study, once, for Markdown and for HTML."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lightning_posenc.run_directory import FIGURES
from lightning_posenc.studies.report.costs import Cost, Quantity
from lightning_posenc.studies.report.lengths import Reach
from lightning_posenc.studies.report.recipes import Recipe
from lightning_posenc.studies.report.results import Leader, Results
from lightning_posenc.studies.report.runs import Run
from lightning_posenc.studies.report.statistics import Estimate
from lightning_posenc.studies.report.study import Study

HERE = Path(__file__).parent
MARKS = {1: "▲", -1: "▼", 0: ""}


class Cell(NamedTuple):
    """A cell of a table."""

    text: str
    bold: bool = False
    mark: str = ""


class Table(NamedTuple):
    """A table, whose first column names its rows."""

    header: list[str]
    rows: list[list[Cell]]


class Picture(NamedTuple):
    """A picture that lies in figures/."""

    name: str
    title: str
    uri: str

    @property
    def path(self) -> str:
        """From the report."""
        return f"{FIGURES}/{self.name}.png"


class Section(NamedTuple):
    """A heading with what belongs below it."""

    title: str
    caption: str
    table: Table | None = None
    pictures: Sequence[Picture] = ()
    folded: Table | None = None
    folded_title: str = ""


@dataclass(frozen=True)
class Page:
    """Everything that a report says."""

    title: str
    about: str
    glance: dict[str, str]
    notices: list[str]
    left_out: Table | None
    sections: list[Section] = field(default_factory=list)
    recipes: list[Recipe] = field(default_factory=list)
    colours: dict[str, str] = field(default_factory=dict)


def markdown(page: Page) -> str:
    """As Markdown, whose pictures lie in figures/."""
    return _environment(autoescape=False).get_template("page.md.j2").render(page=page)


def html(page: Page) -> str:
    """As one HTML file that needs nothing else."""
    style = (HERE / "page.css").read_text("utf-8")
    template = _environment(autoescape=True).get_template("page.html.j2")
    return template.render(page=page, style=style)


def _environment(autoescape: bool) -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=autoescape, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["cell"] = lambda said: str(said).replace("|", "\\|").replace("\n", " ")
    return environment


def title(study: Study, what: str) -> str:
    """What is compared with what.

    Args:
        study: The runs.
        what: Rows are, in the singular.
    """
    return f"{_many(len(study.rows), what)} on {_listed(study.columns)}"


def about(study: Study) -> str:
    """How much there is, and what is measured, in one line."""
    seeds = len(set(study.seed_of.values()))
    said = f"{_many(len(study.runs), 'finished run')}, {_many(seeds, 'seed')}"
    said += f", {len(study.left_out)} not finished" if study.left_out else ""
    better = "higher" if study.metric.higher else "lower"
    return f"{said}. Compared by {study.metric.title}: {better} is better."


def glance(study: Study, results: Results) -> dict[str, str]:
    """What each column shows, in a sentence."""
    return {column: _led(leader, column, results) for column, leader in results.leaders.items()}


def _led(leader: Leader, column: str, results: Results) -> str:
    best = f"{leader.best} {said_of(results.cells[leader.best, column])}"
    if leader.second is None:
        return f"only {best}"
    second = f"{leader.second} {said_of(results.cells[leader.second, column])}"
    comparison = leader.comparison
    if comparison is None or comparison.p is None:
        return f"{best} leads {second}; with fewer than two common seeds that cannot be tested"
    if comparison.significant:
        return f"{best} is best, significantly better than {second} ({said_p(comparison.p)})"
    if comparison.found.difference == 0:
        return f"{best} and {second} are level"
    return f"{best} leads, but not significantly better than {second} ({said_p(comparison.p)})"


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
            Cell(f"{each.found.difference:+.4g}"),
            Cell(str(each.found.n)),
            Cell("–" if each.found.p is None else said_p(each.found.p, "")),
            Cell("–" if each.p is None else said_p(each.p, ""), each.significant),
        ]
        for each in results.comparisons
    ]
    header = ["column", "compared", "mean difference", "pairs", "p", "p after Holm"]
    return Section(
        "Results",
        _results_caption(study, results),
        Table(["", *study.columns], rows),
        folded=Table(header, tests) if tests else None,
        folded_title=f"all {_many(len(tests), 'comparison')} of this table",
    )


def _results_caption(study: Study, results: Results) -> str:
    counts = sorted({cell.n for cell in results.cells.values()}) or [0]
    tested = sum(each.p is not None for each in results.comparisons)
    better = "higher" if study.metric.higher else "lower"
    said = [f"{_metric(study)}; {better} is better."]
    if counts[-1] < 2:
        said.append("One seed each: no interval and no test, so differences may be noise.")
        return " ".join(said)
    said.append(f"Mean over {counts[-1]} seeds ± half of the 95 % interval (Student's t)")
    said[-1] += ", fewer where n says so" if len(counts) > 1 else ""
    said[-1] += "; a cell of one seed has none." if counts[0] < 2 else "."
    if tested:
        said.append(
            f"{MARKS[1]} significantly better, {MARKS[-1]} worse than {study.baseline}: paired t "
            f"test by seed, p < 0.05 after Holm's correction over all {tested} tests of this table."
        )
        said.append(
            "Bold: the best of a column, only where it is significantly better than the second "
            "best by the same rule."
        )
    return " ".join(said)


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


def lengths_section(
    study: Study, name: str, found: dict[tuple[str, str], Reach], pictures: Sequence[Picture]
) -> Section:
    """Curves by length, and effective lengths."""
    caption = (
        f"test/{name} by length: mean over seeds, bands from the lowest to the highest seed. "
        "Shaded: trained lengths."
    )
    if not found:
        return Section(f"{name} by length", caption, pictures=pictures)
    rows = [
        [Cell(row), *(Cell(str(found.get((row, column), "–"))) for column in study.columns)]
        for row in study.rows
    ]
    caption += (
        " The table: effective length, the largest tested one with at least 0.9 of the score on "
        "trained lengths; median over seeds (lowest to highest seed). ≥: the longest that was "
        "tested."
    )
    return Section(
        f"{name} by length, effective length", caption, Table(["", *study.columns], rows), pictures
    )


def costs_section(study: Study, found: dict[Quantity, dict[str, Cost]], memory: str) -> Section:
    """What the rows cost."""
    header, rows = [""], [[Cell(row)] for row in study.rows]
    for quantity, costs in found.items():
        ratio = quantity.ratio and len(study.rows) > 1
        header += [quantity.title, *([f"× {study.baseline}"] if ratio else [])]
        for cells, row in zip(rows, study.rows, strict=True):
            cost = costs[row]
            cells.append(Cell("–" if cost.value is None else _amount(cost.value, quantity.key)))
            if ratio:
                cells.append(Cell("–" if cost.ratio is None else f"{cost.ratio:.2f}"))
    several = len(study.columns) > 1
    caption = "Median over seeds" + (
        ", then the mean over columns; ratios by column, geometric mean. " if several else ". "
    )
    caption += "Time per step: the median step, data included, validation not."
    if memory:
        caption += f" Peak memory: {memory}."
    return Section("Cost", caption, Table(header, rows))


def left_out_table(left_out: Sequence[Run], command: Any) -> Table | None:
    """Runs that are not finished."""
    if not left_out:
        return None
    rows = [
        [Cell(run.name), Cell(run.status), Cell(run.why), Cell(command(run))] for run in left_out
    ]
    return Table(["run", "status", "why", "command"], rows)


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


def _amount(value: float, key: str) -> str:
    if key.endswith("parameters"):
        return f"{value:,.0f}"
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _many(n: int, what: str) -> str:
    return f"{n} {what}" + ("s" if n != 1 else "")
