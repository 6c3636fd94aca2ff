"""What data has to say to a person: a line on stderr, of one process, once."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch.utilities.rank_zero import rank_zero_only

from lightning_posenc.mistakes.escaping import plain

_SAID: set[str] = set()


@rank_zero_only
def say(line: str) -> None:
    """Say a line, on rank 0 and unless the process has said the very same before."""
    if line not in _SAID:
        _SAID.add(line)
        print(plain(line), file=sys.stderr)


@contextmanager
def bars_on_terminals() -> Iterator[None]:
    """Within, the `datasets` library shows how far it has got on a terminal only: in a file or a
    notebook's log each step of a bar would be a line.
    """
    import datasets

    hides = not sys.stderr.isatty() and not datasets.are_progress_bars_disabled()
    if hides:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if hides:
            datasets.enable_progress_bars()


def forget() -> None:
    """Begin anew, as every command does."""
    _SAID.clear()


def percent(part: float, whole: float) -> str:
    """A share for a person to read: never 0 % of something, nor 100 % where some is missing."""
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "less than 0.1 %"
    if 99.9 < share < 100:
        return "more than 99.9 %"
    return f"{share:.3g} %"
