"""What is compared: a run as its directory tells of it, or a checkpoint measured anew."""

import math
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lightning_posenc.diagnostics.metric_keys import Key, parse
from lightning_posenc.mistakes.escaping import plain, visible
from lightning_posenc.report import runs
from lightning_posenc.report.intervals import ScoreInterval, Z, of_share
from lightning_posenc.report.runs import FINISHED, Run

if TYPE_CHECKING:
    import pandas as pd

    from lightning_posenc.diagnose.measured_anew import MeasuredAnew


@dataclass(frozen=True)
class CheckpointRun(Run):
    """A checkpoint as if it were a run that was measured once.

    Args:
        watched: Numbers by metric key, as callbacks log them.
    """

    watched: dict[str, float] = field(default_factory=dict)

    @cached_property
    def history(self) -> "pd.DataFrame":
        import pandas as pd

        return pd.DataFrame([{"step": self.summary["steps"], **self.watched}])


class Sides(NamedTuple):
    """Two of a kind.

    Args:
        first: A run.
        second: Another.
        paired: Of checkpoints that answered the same sequences, the difference of a metric, by its
            key: second minus first.
    """

    first: Run
    second: Run
    paired: dict[str, ScoreInterval]


def sides(first: Path, second: Path) -> Sides:
    """Read two runs, or measure two checkpoints on their own test data.

    Args:
        first: A run directory, or a checkpoint's file.
        second: Likewise, of the same kind.

    Raises:
        ValueError: If one is neither, both are the same, or they are of different kinds.
    """
    for path in (first, second):
        if not path.exists():
            raise ValueError(f"--diff {path}: does not exist: name a run directory or a checkpoint")
    if first.resolve() == second.resolve():
        raise ValueError(f"--diff {first} {second}: both are the same: name two")
    if first.is_file() != second.is_file():
        raise ValueError(
            f"--diff {first} {second}: one is a file: name two run directories, or two checkpoints"
        )
    if first.is_file():
        return _checkpoints(first, second)
    for path in (first, second):
        if not runs.is_run(path):
            raise ValueError(
                f"--diff {path}: not a run directory (with {runs.SUMMARY} and {runs.CONFIG}): name "
                "one run; without --diff, report compares many"
            )
    found = {run.path.resolve(): run for run in runs.find([first, second])}
    one, other = (found[path.resolve()] for path in (first, second))
    for run in (one, other):
        if run.status == "unreadable" or not run.config:
            raise ValueError(f"--diff {run.path}: cannot be read: {run.why or 'no config'}")
    return Sides(one, other, {})


def _checkpoints(first: Path, second: Path) -> Sides:
    # Late: what is read from a run's directory does not wait for torch.
    from lightning_posenc.diagnose.measured_anew import measure_anew

    one, other = measure_anew(first), measure_anew(second)
    names = _names(first, second)
    made = _run(first, names[0], one), _run(second, names[1], other)
    paired: dict[str, ScoreInterval] = {}
    for length in sorted(one.scores.keys() & other.scores.keys()):
        if one.same_sequences(other, length):
            a, b = one.scores[length], other.scores[length]
            for name, x, y in (
                ("acc", a.right, b.right), ("loss", a.surprise, b.surprise),
            ):  # fmt: skip
                key = str(Key(name, "test", length))
                paired[key] = _difference(_floats(x), _floats(y), _floats(a.scored))
    return Sides(made[0], made[1], paired)


def _names(first: Path, second: Path) -> list[str]:
    """What tells the two apart: their paths below what both have in common."""
    paths = [first.resolve(), second.resolve()]
    common = Path(os.path.commonpath([path.parent for path in paths]))
    return [plain(path.relative_to(common).as_posix()) for path in paths]


def _run(path: Path, name: str, found: "MeasuredAnew") -> CheckpointRun:
    metrics: dict[str, float] = {}
    errors: dict[str, float] = {}
    counts: dict[str, int] = {}
    for length, scores in found.scores.items():
        scored = _floats(scores.scored)
        if not sum(scored):
            continue
        for quantity, sums in (("acc", scores.right), ("loss", scores.surprise)):
            key = str(Key(quantity, "test", length))
            metrics[key], errors[key] = ratio(_floats(sums), scored)
        counts[str(Key("", "test", length))] = len(scored)
    summary: dict[str, Any] = {
        "status": FINISHED, "steps": found.steps, "parameters": found.parameters,
        "metrics": metrics, "standard_errors": errors, "test_sequences": counts,
    }  # fmt: skip
    return CheckpointRun(
        path, name, FINISHED, config=visible(found.config), summary=summary,
        watched=dict(found.watched),
    )  # fmt: skip


def ratio(sums: list[float], counts: list[float]) -> tuple[float, float]:
    """Give the ratio of two sums over sequences, and its standard error.

    Cochran, "Sampling Techniques", 3rd ed., 1977, section 6.3.
    """
    n, total = len(counts), sum(counts)
    value = sum(sums) / total
    spread = math.fsum((x - value * c) ** 2 for x, c in zip(sums, counts, strict=True))
    return value, math.sqrt(spread * n / (n - 1)) / total if n > 1 else math.nan


def _difference(first: list[float], second: list[float], counts: list[float]) -> ScoreInterval:
    """Of two ratios over the same sequences, which are pairs."""
    value, error = ratio([y - x for x, y in zip(first, second, strict=True)], counts)
    if not math.isfinite(error):
        return ScoreInterval(value)
    return ScoreInterval(value, value - Z * error, value + Z * error)


def _floats(tensor: Any) -> list[float]:
    return [float(x) for x in tensor.tolist()]


def interval(run: Run, key: str) -> ScoreInterval | None:
    """A run's number with what is known of how sure it is; None if it has none."""
    value = run.metrics.get(key)
    if value is None:
        return None
    error, sequences = run.standard_error(key)
    if error is None or not math.isfinite(value) or not math.isfinite(error):
        return ScoreInterval(value)
    if sequences and 0 <= value <= 1 and parse(key).name in ("acc", "exact"):
        return of_share(value, error, sequences)
    return ScoreInterval(value, value - Z * error, value + Z * error)
