"""What a report is made of, for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING

from lightning_posenc.diagnostics.metric_keys import parse
from lightning_posenc.mistakes import escaping
from lightning_posenc.report import lengths
from lightning_posenc.report.costs import COLUMNS
from lightning_posenc.report.lengths import NOTHING
from lightning_posenc.report.metrics import Criterion
from lightning_posenc.report.panels import last_by_layer
from lightning_posenc.report.runs import Run
from lightning_posenc.report.study import Study
from lightning_posenc.runs.whole_files import write_whole

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("csv", "parquet", "latex")


def export(kinds: list[str], study: Study, out: Path) -> list[Path]:
    """Write `report.csv` or `report.parquet`, a line for each run and metric.

    Args:
        kinds: Of KINDS; LaTeX is not written here, but with the pages.
        study: The runs.
        out: Directory.

    Returns:
        The files.
    """
    paths = []
    for kind in kinds:
        if kind == "latex":
            continue
        path = out / f"report.{kind}"
        if kind == "csv":
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
