"""Files and folders that are whole or absent, whatever stops the process that writes them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

UNFINISHED = ".unfinished"


@contextmanager
def whole_file(place: Path, mode: str = "w", **options: Any) -> Iterator[IO[Any]]:
    """Open a file beside its place, which it takes when it is closed and on the disk.

    Until then, and after an error, the place holds what it held before. A process that is killed
    leaves a file whose name ends with `UNFINISHED`.

    Args:
        place: Where the file goes; missing folders above it are made.
        mode: As `open` has it, "w" or "wb".
        options: As `open` has them; text is UTF-8.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_name(f"{place.name}.{os.getpid()}{UNFINISHED}")
    if "b" not in mode:
        options = {"encoding": "utf-8", **options}
    try:
        with unfinished.open(mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(place)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = str(place)  # what fails to write does not know where
        raise
    _sync_directory(place.parent)


@contextmanager
def whole_folder(place: Path) -> Iterator[Path]:
    """Make a folder beside its place, which it takes when all that is to be in it is written.

    Args:
        place: Where it goes: nothing is there, or an empty folder.

    Raises:
        ValueError: If something is there.
    """
    if place.is_symlink() or (place.exists() and (not place.is_dir() or any(place.iterdir()))):
        raise ValueError(f"{place} is there already: name another folder")
    unfinished = place.with_name(f"{place.name}.{os.getpid()}{UNFINISHED}")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        if place.exists():
            place.rmdir()
        unfinished.rename(place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _sync_directory(directory: Path) -> None:
    """Make a renaming last, should the machine itself stop."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(place: Path, content: str | bytes) -> None:
    """Write a text, in UTF-8, or bytes to a file that is whole or what it was before.

    Args:
        place: Where the file goes; missing folders above it are made.
        content: All of it.
    """
    with whole_file(place, "w" if isinstance(content, str) else "wb") as file:
        file.write(content)
