"""Arguments of a study's own command."""

import argparse
import os
import re
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NoReturn

from lightning_posenc.mistakes.one_line import did_you_mean


class OneLineParser(argparse.ArgumentParser):
    """A parser that raises what is wrong with the arguments, and guesses none from its beginning.

    Args:
        study: Name of the command.
        options: As `argparse.ArgumentParser` has them.
    """

    def __init__(self, study: str, **options: Any) -> None:
        super().__init__(prog=f"python -m lightning_posenc {study}", allow_abbrev=False, **options)
        self.study = study

    def error(self, message: str) -> NoReturn:
        """Raise ValueError."""
        _, unknown, option = message.partition("unrecognized arguments: --")
        names = re.findall(r"--([\w.]+)", self.format_usage())
        near = did_you_mean(option.split("=")[0].split(" ")[0], names, "see --help")
        hint = near.replace("mean ", "mean --") if unknown else "see --help"
        raise ValueError(f"{self.study}: {message}: {hint}")


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
