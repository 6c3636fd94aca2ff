"""A user's mistake ends in one line on stderr and exit status 2."""

import difflib
import os
import sys
from collections.abc import Callable, Iterable

from lightning_posenc.escaping import plain

TRACEBACK = "LIGHTNING_POSENC_TRACEBACK"
"""Environment variable: if it is set, a mistake is raised, to see where it was noticed."""


def guarded(
    run: Callable[[], int | None],
    errors: tuple[type[BaseException], ...],
    say: Callable[[BaseException], str] = str,
) -> int:
    """Run something that a user's mistake may stop.

    Args:
        run: Returns an exit status; None is 0.
        errors: What counts as a mistake.
        say: Puts one into a line.

    Returns:
        The exit status, 2 after a mistake.
    """
    try:
        return run() or 0
    except errors as error:
        if os.environ.get(TRACEBACK):
            raise
        return fail(say(error))


def fail(message: str) -> int:
    """Say what went wrong.

    Returns:
        Exit status 2.
    """
    print(f"error: {plain(message)}", file=sys.stderr)
    return 2


def did_you_mean(
    name: str, names: Iterable[str], otherwise: str, *, n: int = 1, cutoff: float = 0.6
) -> str:
    """What to try instead of a wrong name.

    Args:
        name: As it was typed.
        names: The right ones.
        otherwise: The hint where none is near.
        n: Name at most so many.
        cutoff: How alike they must be, from 0 to 1.
    """
    near = difflib.get_close_matches(name, list(names), n=n, cutoff=cutoff)
    return f"did you mean {' or '.join(near)}?" if near else otherwise
