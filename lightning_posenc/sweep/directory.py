"""A sweep's directory: `sweep.yaml`, and a run directory for each trial.

Nothing else is kept: what was done is what lies here, so that a sweep that was killed loses
nothing but the trials that ran.
"""

import re
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from lightning_posenc.runs import strict_json
from lightning_posenc.runs.locks import Lock, Taken
from lightning_posenc.runs.whole_files import write_whole
from lightning_posenc.sweep import definition as definitions
from lightning_posenc.sweep import trial as records
from lightning_posenc.sweep.definition import Definition
from lightning_posenc.sweep.search import Search
from lightning_posenc.sweep.trial import Trial

COPY = "sweep.yaml"
LOCK = ".lock"  # held by the one sweep that works here
TRIALS_LOCK = ".trials.lock"  # shared by its trials: free when the last has died
PATIENCE = 20.0  # seconds for the trials of a killed sweep to die

_TRIAL = re.compile(r"\d{3,}-[0-9a-f]{6}")


class SweepDirectory:
    """Opens a sweep's directory, and locks it while it is used as a context.

    Args:
        path: The directory; it is made if there is none.

    Raises:
        ValueError: If another sweep works there, or it holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trials_lock = path / TRIALS_LOCK
        self._lock: Lock | None = None

    def __enter__(self) -> "SweepDirectory":
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path} is a file: name another directory with --sweep_dir")
        if self.path.is_dir() and not (self.path / COPY).exists():
            others = {found.name for found in self.path.iterdir()} - {LOCK, TRIALS_LOCK}
            if others:
                raise ValueError(
                    f"{self.path} holds no sweep, but {min(others)}: name another directory with "
                    "--sweep_dir"
                )
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock = Lock(self.path / LOCK)
        except Taken:
            raise ValueError(
                f"{self.path}: another sweep works there: wait for it, or name another directory "
                "with --sweep_dir"
            ) from None
        try:
            self._wait_for_orphans()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._lock is not None
        self._lock.release()

    def take_up(self, file: Path, definition: Definition, search: Search) -> dict[int, Trial]:
        """Keep a copy of the definition, and find the trials that were begun before.

        Args:
            file: The sweep's file.
            definition: What it says.
            search: Its search.

        Returns:
            The trials by number.

        Raises:
            ValueError: If they belong to another definition.
        """
        trials = self._trials()
        copy = self.path / COPY
        if copy.exists():
            self._check(definitions.load(copy), definition, search, trials)
        write_whole(copy, file.read_text("utf-8"))
        return trials

    def run_directory(self, trial: Trial) -> Path:
        """Where a trial keeps what it makes."""
        return self.path / trial.name

    def clean(self, trial: Trial) -> Path:
        """A trial's directory, empty but for its record."""
        directory = self.run_directory(trial)
        if directory.exists():
            shutil.rmtree(directory)
        directory.mkdir()
        trial.save(directory)
        return directory

    def _trials(self) -> dict[int, Trial]:
        found = {}
        for directory in sorted(self.path.iterdir()):
            if _TRIAL.fullmatch(directory.name):
                try:
                    trial = records.load(directory)
                except (ValueError, TypeError, KeyError) as error:
                    raise ValueError(
                        f"{directory / records.RECORD} is not a trial's record ({error}): remove "
                        "that directory"
                    ) from error
                if trial is not None:
                    found[trial.number] = trial
        return found

    def _check(
        self, old: Definition, new: Definition, search: Search, trials: dict[int, Trial]
    ) -> None:
        changed = [key for key in new.identity if old.identity[key] != new.identity[key]]
        if trials and (other := [key for key in changed if key != "parameters"]):
            raise ValueError(
                f"{self.path} holds a sweep with another {' and '.join(other)}: name another "
                f"directory with --sweep_dir, or remove that one"
            )
        for trial in list(trials.values()):
            if self._belongs(trial, new, search):
                continue
            if trial.status.is_bad:  # its parameters were wrong, and have been mended
                shutil.rmtree(self.run_directory(trial))
                del trials[trial.number]
            else:
                raise ValueError(
                    f"{self.path}: {trial.name} has other parameters than this sweep's trial "
                    f"{trial.number}: name another directory with --sweep_dir, or remove that one"
                )

    def _belongs(self, trial: Trial, new: Definition, search: Search) -> bool:
        if new.method == "bayes":
            point = trial.point
            if point.keys() != {parameter.name for parameter in new.parameters}:
                return False
        elif search.size is not None and trial.number >= search.size:
            return False
        else:
            point = search.point(trial.number, ())
        try:
            expected = search.parameters(point)
        except (IndexError, TypeError):
            return False
        return _as_text(expected) == _as_text(trial.parameters)

    def _wait_for_orphans(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                Lock(self.trials_lock).release()
                return
            except Taken:
                if time.monotonic() > deadline:
                    raise ValueError(
                        f"{self.path}: a trial of an earlier sweep still runs: end it first"
                    ) from None
                time.sleep(0.1)


def _as_text(parameters: dict[str, Any]) -> str:
    return strict_json.text(parameters, sort_keys=True, default=str)
