"""What a trial has logged: `summary.json` and `metrics.csv` in its directory.

Any program may write them: a JSON object with "metrics", or a table with a column a metric.
"""

import csv
import math
from pathlib import Path

from lightning_posenc.diagnostics.metric_keys import is_loss
from lightning_posenc.mistakes.escaping import plain
from lightning_posenc.runs.run_directory import METRICS, SUMMARY
from lightning_posenc.runs.untrusted import read_json

DIVERGED = "diverged"  # status of a run that its loss has ended


def history(directory: Path, name: str) -> list[float]:
    """All values of a metric so far, in their order; NaN for those that are not finite."""
    return [value for row in _rows(directory) if (value := _number(row.get(name))) is not None]


def final(directory: Path, name: str) -> float | None:
    """The value of a metric that a trial ended with: NaN if it is not finite, None if the trial
    has not logged the metric at all.
    """
    summary = _summary(directory)
    if name in summary:
        value = summary[name]
        return math.nan if value is None else _number(value)  # JSON has no NaN
    values = history(directory, name)
    return values[-1] if values else None


def diverged(directory: Path, name: str | None) -> str | None:
    """Why a trial is to be counted as the worst, in a few words; None if it is not.

    Args:
        directory: Of the trial.
        name: Of the sweep's metric, if it has one.
    """
    if _read(directory).get("status") == DIVERGED:
        return error(directory) or "so says its summary"
    # Accuracies stay finite where all logits are NaN: the losses tell.
    losses = [key for key in _summary(directory) if is_loss(key)]
    for key in ([] if name is None else [name]) + losses:
        value = final(directory, key)
        if value is not None and math.isnan(value):
            return f"{key} ended as no finite number"
    return None


def names(directory: Path) -> set[str]:
    """All metrics that a trial has logged."""
    rows = _rows(directory)
    columns = {key for row in rows for key, value in row.items() if key and value}
    return (columns - {"step", "epoch"}) | _summary(directory).keys()


def error(directory: Path) -> str | None:
    """What a trial says of its own failure, in one line."""
    said = _read(directory).get("error")
    return None if said is None else plain(str(said)).strip().partition("\n")[0]


def _rows(directory: Path) -> list[dict[str, str]]:
    try:
        with (directory / METRICS).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, csv.Error, UnicodeDecodeError):  # not yet there, or just being rewritten
        return []


def _summary(directory: Path) -> dict[str, object]:
    metrics = _read(directory).get("metrics")
    return metrics if isinstance(metrics, dict) else {}


def _read(directory: Path) -> dict[str, object]:
    try:
        content = read_json(directory / SUMMARY)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _number(value: object) -> float | None:
    """A number, NaN if it is not finite; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else math.nan
