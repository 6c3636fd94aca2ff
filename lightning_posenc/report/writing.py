"""Put a report together and write it."""

from pathlib import Path

from lightning_posenc.pages.colours import colour
from lightning_posenc.report import costs, findings, lengths, page, panels, recipes
from lightning_posenc.report.page import Page, Picture, Section
from lightning_posenc.report.panels import Panel
from lightning_posenc.report.pictures import draw
from lightning_posenc.report.results import Results
from lightning_posenc.report.study import Study
from lightning_posenc.runs.png import data_uri
from lightning_posenc.runs.whole_files import write_whole

SEEDS = "Mean over seeds, bands from the lowest to the highest seed."


def write(study: Study, results: Results, what: str, out: Path) -> list[Path]:
    """Write `report.md`, `figures/` and `report.html`.

    Args:
        study: The runs.
        results: Their table.
        what: What a row is, in the singular.
        out: Directory; made if it is not there.

    Returns:
        The two files.
    """
    out.mkdir(parents=True, exist_ok=True)
    made = Page(
        title=page.title(study, what),
        about=page.about(study),
        glance=findings.glance(study, results),
        notices=study.notices,
        left_out=page.left_out_table(study.left_out, recipes.command),
        sections=[
            findings.results_section(study, results),
            *_lengths(study, out),
            *_learning(study, out),
            *_costs(study),
            *_depth(study, out),
        ],
        recipes=recipes.recipes(study, out),
        colours={row: colour(i) for i, row in enumerate(study.rows)},
    )
    markdown, html = out / "report.md", out / "report.html"
    write_whole(markdown, page.markdown(made))
    write_whole(html, page.html(made))
    return [markdown, html]


def _lengths(study: Study, out: Path) -> list[Section]:
    metric = study.score
    if metric is None or metric.name is None:
        return []
    pictures = _drawn(panels.by_test_length(study, metric.name), study, out)
    reached = lengths.reaches(study, metric)
    if not pictures and not reached:
        return []
    return [page.lengths_section(study, metric.name, reached, pictures)]


def _learning(study: Study, out: Path) -> list[Section]:
    key = panels.learning_key(study)
    if key is None:
        return []
    pictures = _drawn(panels.learning(study, key), study, out)
    return [Section(f"Learning curves: {key}", SEEDS, pictures=pictures)]


def _costs(study: Study) -> list[Section]:
    found = costs.costs(study)
    return [page.costs_section(study, found, costs.memory_of(study))] if found else []


def _depth(study: Study, out: Path) -> list[Section]:
    caption = f"The last value that was logged of each layer, mean over heads. {SEEDS}"
    several = len(study.columns) > 1
    return [
        Section(
            "Diagnostics by depth" + (f": {column}" if several else ""),
            caption,
            pictures=_drawn(shown, study, out),
        )
        for column, shown in panels.by_depth(study).items()
    ]


def _drawn(shown: list[Panel], study: Study, out: Path) -> list[Picture]:
    return [
        Picture(panel.name, panel.title, data_uri(draw(panel, study.rows, out))) for panel in shown
    ]
