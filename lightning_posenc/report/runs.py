"""Run directories, found and read; nothing is judged here but whether a run is whole."""

import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_posenc.diagnostics.metric_keys import is_loss, parse
from lightning_posenc.mistakes.escaping import plain, visible
from lightning_posenc.report.grouping import natural
from lightning_posenc.report.keys import flatten
from lightning_posenc.runs.run_directory import CONFIG, METRICS, SUMMARY
from lightning_posenc.runs.untrusted import read_json, read_yaml
from lightning_posenc.sweep.trial import RECORD, Status

if TYPE_CHECKING:
    import pandas as pd

FINISHED = "finished"
_WORDS = re.compile(r"[\w -]{1,40}")
NUMBERS = (
    "seconds_per_step", "peak_memory_mb", "parameters", "positional_parameters", "steps",
    "train_seconds", "train_tokens", "train_flops", "train_joules",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """What a run directory holds.

    Args:
        path: The directory.
        name: What the report calls it: its path below what all runs have in common.
        status: "finished"; else "failed", "unfinished", "unreadable", "diverged" (finished, but a
            loss is no finite number) or what its trial says.
        why: What is known of why it is not finished.
        config: As `config.yaml` has it.
        summary: As `summary.json` has it.
        trial: As `trial.json` of a sweep has it; empty without one.
    """

    path: Path
    name: str
    status: str
    why: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    trial: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def keys(self) -> dict[str, Any]:
        """The config, flat; and `seed`, the one that counted."""
        return {**flatten(self.config), "seed": self.seed}

    @property
    def seed(self) -> int | None:
        """Of the global generators."""
        return self.summary.get("seed", self.config.get("seed_everything"))

    @property
    def trained(self) -> bool:
        """Whether `fit` made it, and not a later test."""
        command = self.summary.get("command") or ["fit"]
        return not isinstance(command, list) or command[0] == "fit"

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The last value of each, by key; NaN for null, since JSON has no NaN."""
        found = self.summary.get("metrics") or {}
        return {key: math.nan if value is None else value for key, value in found.items()}

    @cached_property
    def higher_is_better(self) -> dict[str, bool]:
        """Whether more is better, by name, of metrics of which torchmetrics says it."""
        found = self.summary.get("higher_is_better") or {}
        return {name: higher for name, higher in found.items() if isinstance(higher, bool)}

    def standard_error(self, key: str) -> tuple[float | None, int | None]:
        """The standard error of a test metric, and of how many sequences; None if nobody knows."""
        of = parse(key)
        error = (self.summary.get("standard_errors") or {}).get(key)
        sequences = (self.summary.get("test_sequences") or {}).get(str(of._replace(name="")))
        return error, sequences

    @property
    def length_axis(self) -> str:
        """What its lengths are: "length", or as its data says, "size in pixels"."""
        said = self.summary.get("length_axis")
        return said if isinstance(said, str) and _WORDS.fullmatch(said) else "length"

    @cached_property
    def history(self) -> "pd.DataFrame":
        """`metrics.csv`: steps, validations, what was logged by layer; empty if there is none."""
        import pandas as pd

        def wanted(column: str) -> bool:
            return column == "step" or (of := parse(column)).stage == "val" or of.layer is not None

        try:
            frame = pd.read_csv(self.path / METRICS, usecols=wanted)
        except (OSError, ValueError):  # pandas' errors of parsing are ValueErrors
            frame = pd.DataFrame()
        if "step" not in frame:
            return pd.DataFrame({"step": []})
        return frame.apply(pd.to_numeric, errors="coerce").dropna(subset="step")


def find(given: Sequence[Path]) -> list[Run]:
    """Every run in directories that are runs or hold some, in the order of their names.

    Raises:
        ValueError: If one of them is no directory, or holds no run.
    """
    paths: dict[Path, Path] = {}
    for root in given:
        if not root.is_dir():
            what = "is a file" if root.exists() else "does not exist"
            raise ValueError(f"report {root}: {what}: name run directories, or one that holds some")
        found = {path.resolve(): path for path in _walk(root)}
        if not found:
            raise ValueError(
                f"report {root}: no run there (a directory with {SUMMARY} and {CONFIG}): name run "
                "directories, or one that holds some"
            )
        paths |= found
    common = Path(os.path.commonpath([path.parent for path in paths]))
    named = {path.relative_to(common).as_posix(): path for path in paths}
    return [_read(named[name], plain(name)) for name in sorted(named, key=natural)]


def is_run(directory: Path) -> bool:
    """Whether a directory holds a run, whole or not."""
    return any((directory / name).is_file() for name in (SUMMARY, RECORD, CONFIG))


def _walk(root: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for directory, names, _ in os.walk(root, followlinks=True):
        path = Path(directory)
        if (real := os.path.realpath(directory)) in seen:  # a link leads back
            names.clear()
            continue
        seen.add(real)
        if is_run(path):
            names.clear()  # what lies below belongs to it
            yield path
        else:
            # A logger's own copies of configs are no runs.
            names[:] = [name for name in names if name != "wandb" and not name.startswith(".")]


def _read(path: Path, name: str) -> Run:
    try:
        trial = _mapping(path / RECORD, read_json) if (path / RECORD).is_file() else {}
        if not (path / SUMMARY).is_file():
            status = str(trial.get("status", "unfinished"))
            status = "unfinished" if status in (Status.COMPLETE, Status.RUNNING) else status
            config = _mapping(path / CONFIG, read_yaml) if (path / CONFIG).is_file() else {}
            why = str(trial.get("error") or f"no {SUMMARY}")
            return Run(path, name, status, why, config=config, trial=trial)
        summary = _mapping(path / SUMMARY, read_json)
        config = _mapping(path / CONFIG, read_yaml)
    except OSError as error:
        return Run(path, name, "unreadable", f"{Path(str(error.filename)).name}: {error.strerror}")
    except ValueError as error:
        return Run(path, name, "unreadable", str(error))
    try:
        _check_summary(summary)
    except ValueError as error:
        return Run(path, name, "unreadable", f"{SUMMARY}: {error}", config=config)
    status = str(summary.get("status"))
    why = str(summary.get("error") or "")
    # A sweep knows what a run cannot write down itself: that it was killed, or stopped early.
    said = str(trial.get("status", Status.COMPLETE))
    if said not in (Status.COMPLETE, Status.RUNNING, status):
        status, why = said, why or str(trial.get("error") or "so says its sweep")
    elif status == "running" or said == Status.RUNNING:
        status, why = "unfinished", "it still runs, or was killed"
    elif status == FINISHED and (lost := _lost(summary)):
        # Its accuracy is a number all the same: that of guessing one class.
        status, why = Status.DIVERGED, f"{lost} ended as no finite number"
    return Run(path, name, status, why, config, summary, trial)


def _lost(summary: dict[str, Any]) -> str | None:
    """The first loss that is no finite number."""
    for key, value in (summary.get("metrics") or {}).items():
        if is_loss(key) and (value is None or not math.isfinite(value)):
            return str(key)
    return None


def _check_summary(summary: dict[str, Any]) -> None:
    """Raise ValueError where something is of another kind than everything here takes it for."""
    metrics = summary.get("metrics") or {}
    if not isinstance(metrics, dict):
        raise ValueError("metrics is no mapping")
    numbers = {f"metrics.{key}": value for key, value in metrics.items()}
    numbers |= {key: summary.get(key) for key in NUMBERS}
    for what in ("standard_errors", "test_sequences"):
        found = summary.get(what) or {}
        if not isinstance(found, dict):
            raise ValueError(f"{what} is no mapping")
        numbers |= {f"{what}.{key}": value for key, value in found.items()}
    for key, value in numbers.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"{key} is no number, but {str(value)[:40]!r}")
    for key in ("versions", "higher_is_better"):
        if not isinstance(summary.get(key, {}), dict):
            raise ValueError(f"{key} is no mapping")
    if not isinstance(summary.get("seed"), int | None):
        raise ValueError(f"seed is no whole number, but {summary['seed']!r}")
    if not isinstance(summary.get("command"), list | str | None):
        raise ValueError("command is no list of words")


def _mapping(path: Path, read: Callable[[Path], Any]) -> dict[str, Any]:
    found = visible(read(path))
    if not isinstance(found, dict):
        raise ValueError(f"{path.name}: holds no mapping")
    return found
