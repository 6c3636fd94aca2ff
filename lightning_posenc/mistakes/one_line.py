"""A user's mistake ends in one line on stderr and exit status 2."""

import difflib
import os
import sys
from collections.abc import Callable, Iterable

from lightning_posenc.mistakes.escaping import plain
from lightning_posenc.mistakes.library_errors import explained, own_place
from lightning_posenc.mistakes.ranks import said_by_first_rank

TRACEBACK = "LIGHTNING_POSENC_TRACEBACK"
"""Environment variable: if it is set, a mistake is raised, to see where it was noticed."""


def guarded(
    run: Callable[[], int | None],
    errors: tuple[type[BaseException], ...],
    say: Callable[[BaseException], str] = str,
) -> int:
    """Run something that a user's mistake, or the system, may stop.

    Args:
        run: Returns an exit status; None is 0.
        errors: What counts as a mistake, besides what libraries are known to raise after one.
        say: Puts one of them into a line.

    Returns:
        The exit status, 2 after a mistake, 130 after Ctrl-C.
    """
    try:
        return run() or 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        line = in_one_line(error, errors, say)
        if line is None or os.environ.get(TRACEBACK):
            raise
        return 2 if said_by_first_rank(line) else fail(line)


def in_one_line(
    error: BaseException,
    errors: tuple[type[BaseException], ...],
    say: Callable[[BaseException], str] = str,
) -> str | None:
    """What went wrong, where, and what to do about it; None if it is no mistake of the user's.

    Args:
        error: As it was caught.
        errors: As `guarded` has them.
        say: Likewise.
    """
    line, place = explained(error), own_place(error)
    if line is None and isinstance(error, errors):
        line = say(error)
    elif line is None and place and _is_failure(error):  # of a class of the user's own
        line = f"{type(error).__name__}: {error}"
    if line is None:
        return None
    line = " ".join(line.split()).removesuffix(":") or type(error).__name__
    if place:
        line += f" ({place}; {TRACEBACK}=1 shows how it came there)"
    return line


def _is_failure(error: BaseException) -> bool:
    return isinstance(error, Exception) and not isinstance(error, InterruptedError)


def reason(error: BaseException) -> str:
    """What an error says, without line breaks; the name of its class if it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


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
    names = list(names)
    spelled = {each.lower(): each for each in names}
    near = [each for each in names if each.lower() == name.lower()]
    close = difflib.get_close_matches(name.lower(), spelled, n=n, cutoff=cutoff)
    near = near or [spelled[each] for each in close]
    return f"did you mean {' or '.join(near)}?" if near else otherwise
