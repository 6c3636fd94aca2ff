"""What a trial has logged: `summary.json` and `metrics.csv` in its directory.

Any program may write them: a JSON object with "metrics", or a table with a column a metric.
"""

import csv
import math
from pathlib import Path

from lightning_posenc.escaping import plain
from lightning_posenc.run_directory import METRICS, SUMMARY
from lightning_posenc.untrusted import read_json


def history(directory: Path, name: str) -> list[float]:
    """All finite values of a metric so far, in their order."""
    return [value for row in _rows(directory) if (value := _finite(row.get(name))) is not None]


def final(directory: Path, name: str) -> float | None:
    """The value of a metric that a trial ended with, if it is finite."""
    summary = _summary(directory)
    if name in summary:
        return _finite(summary[name])
    values = history(directory, name)
    return values[-1] if values else None


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


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
