"""The page: what is said of a study, once, for Markdown and for HTML."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lightning_posenc.diagnostics.measures.effective_length import SHARE
from lightning_posenc.mistakes import escaping
from lightning_posenc.pages.templates import environment, style
from lightning_posenc.report.costs import CostColumn, RowCost
from lightning_posenc.report.lengths import LengthsReached
from lightning_posenc.report.recipes import Recipe
from lightning_posenc.report.runs import Run
from lightning_posenc.report.study import Study
from lightning_posenc.runs.run_directory import FIGURES

HERE = Path(__file__).parent


class _Made(str):
    """Markdown, not to be escaped."""


class Cell(NamedTuple):
    """A cell of a table."""

    text: str
    bold: bool = False
    mark: str = ""


class Table(NamedTuple):
    """A table.

    Args:
        header: Names of its columns.
        rows: Its lines.
        names: How many columns, the first, name a row.
    """

    header: list[str]
    rows: list[list[Cell]]
    names: int = 1


class Picture(NamedTuple):
    """A picture that lies in figures/.

    Args:
        name: File stem.
        title: What it shows, for who cannot see it.
        uri: The picture itself.
        caption: Below it; "" where the picture says it.
    """

    name: str
    title: str
    uri: str
    caption: str = ""

    @property
    def path(self) -> str:
        """From the report."""
        return f"{FIGURES}/{self.name}.png"


class Section(NamedTuple):
    """A heading with what belongs below it.

    Args:
        title: The heading.
        caption: Below the table.
        table: What is shown first.
        pictures: What is shown last.
        folded: A table that is shown on demand.
        folded_title: What to click on.
        words: Whether the table holds texts, and not numbers.
    """

    title: str
    caption: str
    table: Table | None = None
    pictures: Sequence[Picture] = ()
    folded: Table | None = None
    folded_title: str = ""
    words: bool = False


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
    methods: str = ""


def markdown(page: Page) -> str:
    """As Markdown, whose pictures lie in figures/."""
    return _markdown_environment().get_template("page.md.j2").render(page=page)


def html(page: Page) -> str:
    """As one HTML file that needs nothing else."""
    return environment(HERE).get_template("page.html.j2").render(page=page, style=style())


def _markdown_environment() -> Any:
    made = environment(HERE, autoescape=False)
    # Whatever a template shows is text, unless the template says what else it is.
    made.finalize = lambda said: said if isinstance(said, _Made) else escaping.markdown(str(said))
    made.filters["cell"] = lambda said: str(said).replace("|", "\\|")
    made.filters["code"] = lambda said: _Made(escaping.code(str(said)))
    made.filters["comment"] = lambda said: escaping.code(str(said))
    made.filters["made"] = _Made
    return made


def title(study: Study, what: str) -> str:
    """What is compared with what.

    Args:
        study: The runs.
        what: Rows are, in the singular.
    """
    return f"{many(len(study.rows), what)} on {listed(study.columns)}"


def about(study: Study) -> str:
    """How much there is, and what is measured, in one line."""
    seeds = len(set(study.seed_of.values()))
    said = f"{many(len(study.runs), 'finished run')}, {many(seeds, 'seed')}"
    said += f", {len(study.left_out)} not finished" if study.left_out else ""
    better = "higher" if study.metric.higher else "lower"
    return f"{said}. Compared by {study.metric.title}: {better} is better."


def lengths_section(
    study: Study,
    name: str,
    found: dict[tuple[str, str], LengthsReached],
    pictures: Sequence[Picture],
) -> Section:
    """Curves by length, and effective lengths."""
    axis = study.length_axis
    caption = (
        f"test/{name} by {axis}: mean over seeds, bands from the lowest to the highest seed. "
        "Shaded: what was trained."
    )
    if not found:
        return Section(f"{name} by {axis}", caption, pictures=pictures)
    rows = [
        [Cell(row), *(Cell(str(found.get((row, column), "–"))) for column in study.columns)]
        for row in study.rows
    ]
    caption += (
        f" The table: effective {axis}, the largest tested one with at least {SHARE} of the score "
        "on trained ones; median over seeds (lowest to highest seed). ≥: the largest that was "
        "tested. Nothing learned: on trained ones no better than without order or than the most "
        "frequent class."
    )
    return Section(
        f"{name} by {axis}, effective {axis}", caption, Table(["", *study.columns], rows), pictures
    )


def costs_section(
    study: Study, found: dict[CostColumn, dict[str, RowCost]], memory: str
) -> Section:
    """What the rows cost."""
    header, rows = [""], [[Cell(row)] for row in study.rows]
    for quantity, costs in found.items():
        ratio = quantity.ratio and len(study.rows) > 1
        header += [quantity.title, *([f"× {study.baseline}"] if ratio else [])]
        for cells, row in zip(rows, study.rows, strict=True):
            cost = costs[row]
            cells.append(Cell("–" if cost.value is None else amount(cost.value, quantity.key)))
            if ratio:
                cells.append(Cell("–" if cost.ratio is None else f"{cost.ratio:.2f}"))
    several = len(study.columns) > 1
    caption = "Median over seeds" + (
        ", then the mean over columns; ratios by column, geometric mean. " if several else ". "
    )
    caption += "Time per step: the median step, data included, validation not."
    asked = {column.key for column in found}
    if "train_flops" in asked:
        caption += (
            " Operations: of the matrix products of one sequence's forward pass, three times for "
            "the backward pass, by the tokens trained on, padding included."
        )
    if "train_joules" in asked:
        caption += " Energy: what NVML counts of the first process's GPU, not of the machine."
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


def amount(value: float, key: str) -> str:
    """A cost as a table shows it."""
    if key.endswith("parameters"):
        return f"{value:,.0f}"
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def listed(names: Sequence[str]) -> str:
    """The first of them."""
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def many(n: int, what: str) -> str:
    """So many of something."""
    return f"{n} {what}" + ("s" if n != 1 else "")
