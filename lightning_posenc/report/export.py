"""What a report is made of, for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING

from lightning_posenc.diagnostics.metric_keys import parse
from lightning_posenc.mistakes import escaping
from lightning_posenc.report import lengths
from lightning_posenc.report.costs import COLUMNS
from lightning_posenc.report.findings import results_section
from lightning_posenc.report.lengths import NOTHING
from lightning_posenc.report.metrics import Criterion
from lightning_posenc.report.panels import last_by_layer
from lightning_posenc.report.results import Results
from lightning_posenc.report.runs import Run
from lightning_posenc.report.study import Study
from lightning_posenc.runs.whole_files import write_whole

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("csv", "parquet", "latex")
_LATEX = {"±": r"$\pm$", "▲": r"$^{\uparrow}$", "▼": r"$^{\downarrow}$", "–": "--"}


def export(kinds: list[str], study: Study, results: Results, out: Path) -> list[Path]:
    """Write `report.csv` or `report.parquet`, a line for each run and metric, or `report.tex`.

    Args:
        kinds: Of KINDS.
        study: The runs.
        results: Their table.
        out: Directory.

    Returns:
        The files.
    """
    paths = []
    for kind in kinds:
        path = out / f"report.{'tex' if kind == 'latex' else kind}"
        if kind == "latex":
            write_whole(path, latex(study, results))
        elif kind == "csv":
            write_whole(path, tidy(study).map(escaping.cell).to_csv(index=False).encode())
        else:
            write_whole(path, tidy(study).to_parquet(index=False))
        paths.append(path)
    return paths


def tidy(study: Study) -> "pd.DataFrame":
    """A line for each run and number: metrics, cost, effective length, diagnostics by layer."""
    import pandas as pd

    lines = [
        (run.name, study.row_of[run.name], study.column_of[run.name], study.seed_of[run.name],
         key, value)
        for run in study.runs
        for key, value in _numbers(run, study.score).items()
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=["run", "row", "column", "seed", "metric", "value"])


def latex(study: Study, results: Results) -> str:
    """The table of results with booktabs."""
    import pandas as pd

    section = results_section(study, results)
    assert section.table is not None
    cells = []
    for _, *values in section.table.rows:
        texts = [_numeric(f"{c.text}{c.mark}") for c in values]
        cells.append(
            [rf"\textbf{{{t}}}" if c.bold else t for t, c in zip(texts, values, strict=True)]
        )
    frame = pd.DataFrame(cells, index=study.rows, columns=study.columns)
    style = frame.style.format_index(escape="latex", axis=0).format_index(escape="latex", axis=1)
    return style.to_latex(hrules=True, column_format="l" + "r" * len(study.columns))


def _numeric(said: str) -> str:
    for sign, command in _LATEX.items():
        said = said.replace(sign, command)
    return said


def _numbers(run: Run, score: Criterion | None) -> dict[str, float]:
    found = {key: float(value) for key, value in run.metrics.items()}
    for column in COLUMNS:
        if (value := run.summary.get(column.key)) is not None:
            found[column.key] = float(value)
    for diagnostic, layers in last_by_layer(run).items():
        of = parse(diagnostic)
        found |= {str(of._replace(layer=layer)): value for layer, value in layers.items()}
    if score is not None and (length := lengths.of_run(run, score)) not in (None, NOTHING):
        found[f"effective_length/{score.name}"] = float(length)
    return dict(sorted(found.items()))
