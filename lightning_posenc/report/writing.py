"""Put a report together and write it."""

from pathlib import Path
from typing import NamedTuple

from lightning_posenc.pages.colours import colour
from lightning_posenc.report import costs, findings, latex, lengths, page, panels, recipes
from lightning_posenc.report.methods import methods
from lightning_posenc.report.page import Page, Picture, Section
from lightning_posenc.report.panels import Panel
from lightning_posenc.report.pictures import draw
from lightning_posenc.report.results import Results
from lightning_posenc.report.study import Study
from lightning_posenc.runs.png import data_uri
from lightning_posenc.runs.whole_files import write_whole

SEEDS = "Mean over seeds, bands from the lowest to the highest seed."


class Forms(NamedTuple):
    """What is written besides report.md and report.html.

    Args:
        latex: Place of a LaTeX document; None for none.
        pdf: Whether figures are PDF too.
    """

    latex: Path | None = None
    pdf: bool = False


NO_MORE = Forms()


def write(
    study: Study, results: Results, what: str, out: Path, forms: Forms = NO_MORE
) -> list[Path]:
    """Write `report.md`, `figures/` and `report.html`, and what else is asked for.

    Args:
        study: The runs.
        results: Their table.
        what: What a row is, in the singular.
        out: Directory; made if it is not there.
        forms: What else.

    Returns:
        The files, without figures.
    """
    out.mkdir(parents=True, exist_ok=True)
    pictures = _Pictures(study, out, forms.pdf or forms.latex is not None)
    done = methods(study, results)
    made = Page(
        title=page.title(study, what),
        about=page.about(study),
        glance=findings.glance(study, results),
        notices=study.notices,
        left_out=page.left_out_table(study.left_out, recipes.command),
        sections=[
            findings.results_section(study, results),
            *pictures.lengths(),
            *pictures.learning(),
            *_costs(study),
            *pictures.depth(),
        ],
        recipes=recipes.recipes(study, out),
        colours={row: colour(i) for i, row in enumerate(study.rows)},
        methods=done,
    )
    paths = [out / "report.md", out / "report.html"]
    write_whole(paths[0], page.markdown(made))
    write_whole(paths[1], page.html(made))
    if forms.latex is not None:
        write_whole(forms.latex, latex.document(made, done))
        paths.append(forms.latex)
    return paths


class _Pictures:
    """Sections with pictures, which are drawn as they are asked for."""

    def __init__(self, study: Study, out: Path, pdf: bool) -> None:
        self.study, self.out, self.pdf = study, out, pdf

    def lengths(self) -> list[Section]:
        study = self.study
        metric = study.score
        if metric is None or metric.name is None:
            return []
        pictures = self._drawn(panels.by_test_length(study, metric.name))
        reached = lengths.reaches(study, metric)
        if not pictures and not reached:
            return []
        return [page.lengths_section(study, metric.name, reached, pictures)]

    def learning(self) -> list[Section]:
        key = panels.learning_key(self.study)
        if key is None:
            return []
        pictures = self._drawn(panels.learning(self.study, key))
        return [Section(f"Learning curves: {key}", SEEDS, pictures=pictures)]

    def depth(self) -> list[Section]:
        caption = f"The last value that was logged of each layer, mean over heads. {SEEDS}"
        several = len(self.study.columns) > 1
        return [
            Section(
                "Diagnostics by depth" + (f": {column}" if several else ""),
                caption,
                pictures=self._drawn(shown),
            )
            for column, shown in panels.by_depth(self.study).items()
        ]

    def _drawn(self, shown: list[Panel]) -> list[Picture]:
        rows = self.study.rows
        return [
            Picture(each.name, each.title, data_uri(draw(each, rows, self.out, self.pdf)))
            for each in shown
        ]


def _costs(study: Study) -> list[Section]:
    found = costs.costs(study)
    return [page.costs_section(study, found, costs.memory_of(study))] if found else []
