"""How a trial ended, by its exit code and what it left."""

import os
from pathlib import Path

from lightning_posenc.sweep import trial_metrics
from lightning_posenc.sweep.trial import LOG, Status

SHOWN = 300  # characters of an error


def status(code: int, stopped: bool) -> Status:
    """How a trial stands after its exit code, negative if a signal ended it."""
    if code == 0:
        return Status.COMPLETE
    if stopped:
        return Status.STOPPED
    return Status.KILLED if code < 0 else Status.FAILED


def error(code: int, directory: Path) -> str:
    """What went wrong in a trial of a directory, in one line."""
    said = None if code < 0 else trial_metrics.error(directory)
    return (said or reason(code, directory / LOG))[:SHOWN]


def reason(code: int, log: Path) -> str:
    """What went wrong with a process, by its exit code and the last line of its log."""
    if code < 0:
        return f"killed by signal {-code}" + (": out of memory?" if code == -9 else "")
    return (_last_line(log) or f"exit status {code}")[:SHOWN]


def _last_line(log: Path) -> str | None:
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    return next((line.strip() for line in reversed(lines) if line.strip()), None)
