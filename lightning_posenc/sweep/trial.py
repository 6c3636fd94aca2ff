"""One trial of a sweep, and its record on disk."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from lightning_posenc.mistakes.escaping import visible
from lightning_posenc.runs import strict_json
from lightning_posenc.runs.untrusted import read_json
from lightning_posenc.runs.whole_files import write_whole

RECORD = "trial.json"
LOG = "trial.log"
Point = dict[str, int | float]


class Status(StrEnum):
    """How a trial stands."""

    RUNNING = "running"  # or its sweep was killed meanwhile
    COMPLETE = "complete"
    FAILED = "failed"  # it ended with an error of its own
    STOPPED = "stopped"  # by early_terminate
    KILLED = "killed"  # by a signal, such as the kernel's when memory runs out
    DIVERGED = "diverged"  # its loss or the sweep's metric ended as no finite number: the worst

    @property
    def is_bad(self) -> bool:
        """Whether something went wrong that says nothing of the parameters' worth."""
        return self in (Status.FAILED, Status.KILLED)


@dataclass
class Trial:
    """A trial.

    Args:
        number: From 0.
        parameters: Its values by name, nested blocks as dictionaries.
        point: Where the search placed it; see `Search.point`.
        command: As an agent of W&B would run it.
        status: How it stands.
        metric: What it ended with of the sweep's metric, or None.
        seconds: That it took, or None.
        error: What went wrong, in one line, or None.
    """

    number: int
    parameters: dict[str, Any]
    point: Point
    command: list[str] = field(default_factory=list)
    status: Status = Status.RUNNING
    metric: float | None = None
    seconds: float | None = None
    error: str | None = None

    @property
    def name(self) -> str:
        """Of its directory: number, and a short hash of the parameters."""
        text = json.dumps(self.parameters, sort_keys=True, default=str)
        return f"{self.number:03d}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"

    def save(self, directory: Path) -> None:
        """Write the record; a reader never meets half of it."""
        write_whole(
            directory / RECORD, strict_json.text(asdict(self), indent=2, default=str) + "\n"
        )


def ranked(trials: Iterable[Trial], rises: bool) -> list[Trial]:
    """Trials that ended with a value, the best first, and those that diverged behind them.

    Args:
        trials: Of one sweep.
        rises: Whether more of its metric is better.
    """
    every = sorted(trials, key=lambda trial: trial.number)
    done = [t for t in every if t.status is Status.COMPLETE and t.metric is not None]
    done.sort(key=lambda trial: trial.metric or 0.0, reverse=rises)  # equal ones as they are
    return [*done, *(t for t in every if t.status is Status.DIVERGED)]


def load(directory: Path) -> Trial | None:
    """The record in a directory, or None if there is none."""
    path = directory / RECORD
    if not path.is_file():
        return None
    content = visible(read_json(path))
    trial = Trial(**{**content, "status": Status(content["status"])})
    if not isinstance(trial.number, int) or not isinstance(trial.parameters, dict):
        raise ValueError("its number or its parameters are none")
    return trial
