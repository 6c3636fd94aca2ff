"""The records of a study: one JSON file for each thing measured, whole or absent.

    DIRECTORY/question.json             what is asked
    DIRECTORY/cells/METHOD/TEST.json    what one method came to on one text or task

A study that is stopped goes on where it was: what is there is not measured again.
"""

import hashlib
import re
from pathlib import Path
from typing import Any, NamedTuple

from lightning_posenc.extend.question import Question
from lightning_posenc.runs import strict_json
from lightning_posenc.runs.locks import Lock, Taken
from lightning_posenc.runs.untrusted import read_json
from lightning_posenc.runs.whole_files import write_whole

QUESTION = "question.json"
CELLS = "cells"
LOCK = ".lock"
LONGEST = 80  # characters of a name that are kept in a file's


class RecordKey(NamedTuple):
    """One method on one test.

    Args:
        method: Name of a row of the study.
        test: Name of a text, or of a task.
    """

    method: str
    test: str


class Records:
    """What is known of a study; nobody else writes it meanwhile.

    Args:
        directory: Holds the records; made if it is not there.
        question: What they are to answer.

    Raises:
        ValueError: If the directory answers another question, or another process works there.
    """

    def __init__(self, directory: Path, question: Question) -> None:
        self.directory = directory
        asked = directory / QUESTION
        if asked.exists():
            found = _read(asked)
            if (difference := question.differs_in(found)) is not None:
                raise ValueError(
                    f"--out {directory} holds another study: {difference}: name another directory"
                )
        directory.mkdir(parents=True, exist_ok=True)
        try:
            self._lock = Lock(directory / LOCK)
        except Taken:
            raise ValueError(
                f"--out {directory}: another process extends a model there: wait for it, or name "
                "another directory"
            ) from None
        if not asked.exists():
            _write(asked, question.as_record())

    def get(self, cell: RecordKey) -> dict[str, Any] | None:
        """What was measured, or None.

        Raises:
            ValueError: If the file was changed by others and is no record.
        """
        place = self._place(cell)
        return _read(place) if place.exists() else None

    def put(self, cell: RecordKey, content: dict[str, Any]) -> None:
        """Keep what was measured, at once and as a whole."""
        _write(self._place(cell), {**cell._asdict(), **content})

    def close(self) -> None:
        """Let others in."""
        self._lock.release(remove=True)

    def _place(self, cell: RecordKey) -> Path:
        return self.directory / CELLS / file_name(cell.method) / f"{file_name(cell.test)}.json"


def file_name(name: str) -> str:
    """A name that every file system takes, another for each name."""
    plain = re.sub(r"[^\w.=-]+", "_", name).strip("._")
    if name and plain == name and len(name) <= LONGEST:
        return name
    return f"{plain[:LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _read(place: Path) -> dict[str, Any]:
    found = read_json(place)
    if not isinstance(found, dict):
        raise ValueError(f"{place} is no record of a study: remove it")
    return found


def _write(place: Path, content: dict[str, Any]) -> None:
    write_whole(place, strict_json.text(content, indent=1) + "\n")
