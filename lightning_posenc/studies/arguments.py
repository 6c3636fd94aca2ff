"""Arguments of a study's own command."""

import argparse
import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NoReturn

USER_ERRORS = (ValueError, OSError)
"""What a person can mend: an argument, a file, a place that cannot be written."""


class Parser(argparse.ArgumentParser):
    """A parser that raises what is wrong with the arguments, and guesses none from its beginning.

    Args:
        study: Name of the command.
        options: As `argparse.ArgumentParser` has them.
    """

    def __init__(self, study: str, **options: Any) -> None:
        super().__init__(prog=f"lightning_posenc {study}", allow_abbrev=False, **options)
        self.study = study

    def error(self, message: str) -> NoReturn:
        """Raise ValueError."""
        raise ValueError(f"{self.study}: {message}: see --help")


def one_line(error: BaseException) -> str:
    """What went wrong, in one line; of an OSError the file and the reason, without its number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def made_directory(option: str, path: Path) -> Path:
    """Make a directory that an option names, unless it is there, and see that files can be made.

    Raises:
        ValueError: If not.
    """
    try:
        if path.is_symlink() and not os.path.exists(path):
            raise ValueError(f"{option} {path}: a link to nothing: name a directory")
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass
    except (FileExistsError, NotADirectoryError):
        raise ValueError(
            f"{option} {path}: it is, or lies below, a file: name a directory"
        ) from None
    except OSError as error:
        shown = str(path) if len(str(path)) <= 100 else f"{str(path)[:97]}…"
        raise ValueError(
            f"{option} {shown}: {error.strerror}: name a directory that can be written"
        ) from None
    return path
