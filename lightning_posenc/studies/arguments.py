"""Arguments of a study's own command."""

import argparse
from typing import Any, NoReturn


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
