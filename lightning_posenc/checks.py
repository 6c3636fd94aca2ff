"""Checks of an argument's kind and range: a mistake is one ValueError of one line.

Each check gives the value back, so that `self.width = whole(self, "width", width)` reads as what
it is, and says whose argument it was, what was given and what is allowed. NaN and infinity are no
numbers here, True is none either, and a float is no whole number, not even 4.0.
"""

from collections.abc import Collection, Sequence
from numbers import Integral, Real
from typing import Any, TypeVar

T = TypeVar("T")

MOST = 2**24
"""The highest whole number that an argument may be unless it says otherwise.

Up to here float32 tells neighbours apart; no table, length or count is meant to be longer.
"""
MOST_WIDTH = 2**16
"""The most channels of a layer."""
LARGEST = 1e6
"""The largest number, of either sign, that an argument may be unless it says otherwise.

Its square and the square of its square are still far from float32's end.
"""


def wrong(owner: object, name: str, value: object, allowed: str) -> ValueError:
    """Say what is wrong with an argument, to be raised.

    Args:
        owner: What the argument belongs to: an object, a class, a function or a name.
        name: Of the argument.
        value: What was given, cut where it is long.
        allowed: What it must be, to follow "must".
    """
    named = owner if isinstance(owner, str) else getattr(owner, "__name__", type(owner).__name__)
    given = " ".join(repr(value).split())
    given = given if len(given) <= 80 else f"{given[:79]}…"
    return ValueError(f"{named}: {name}={given} must {allowed}")


def whole(owner: object, name: str, value: Any, least: int = 1, most: int = MOST) -> int:
    """`value`, checked to be a whole number in [least, most].

    Raises:
        ValueError: if it is another, or no whole number at all.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise wrong(owner, name, value, f"be a whole number, at least {least}")
    given = int(value)
    if given < least:
        raise wrong(owner, name, value, f"be at least {least}")
    if given > most:
        raise wrong(owner, name, value, f"be at most {most}")
    return given


def number(
    owner: object,
    name: str,
    value: Any,
    least: float = -LARGEST,
    most: float = LARGEST,
    *,
    above: float | None = None,
    below: float | None = None,
) -> float:
    """`value`, checked to be a finite number in [least, most].

    `above` and `below` are open ends, each in place of the closed one.

    Raises:
        ValueError: if it is another, not finite, or no number at all.
    """
    low = f"[{least:g}" if above is None else f"({above:g}"
    high = f"{most:g}]" if below is None else f"{below:g})"
    if isinstance(value, Real) and not isinstance(value, bool):
        given: Any = value  # whose comparisons mypy knows nothing of; NaN passes none
        over = given >= least if above is None else given > above
        under = given <= most if below is None else given < below
        if over and under:
            return given  # an int stays one, as it was written
    raise wrong(owner, name, value, f"be a number in {low}, {high}")


def one_of(owner: object, name: str, value: T, options: Collection[T]) -> T:
    """`value`, checked to be one of the options (of a Literal, as `get_args` gives them).

    Raises:
        ValueError: naming them, if it is none.
    """
    if not any(value is option or value == option for option in options):
        raise wrong(owner, name, value, f"be one of {', '.join(map(str, options))}")
    return value


def several(owner: object, name: str, value: Any, n: int | None = None) -> tuple[Any, ...]:
    """The members of a list or tuple that has some, or `n` of them.

    Raises:
        ValueError: if it is empty, of another length, or no list (a string is none).
    """
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != (n or len(value)):
        raise wrong(owner, name, value, f"be a list of {'values' if n is None else f'{n} values'}")
    if not value:
        raise wrong(owner, name, value, "name at least one")
    return tuple(value)


def is_a(owner: object, name: str, value: Any, kind: Any) -> Any:
    """`value`, checked to be an instance of a class, or to be callable where that is `Callable`.

    Raises:
        ValueError: if it is none.
    """
    if not isinstance(value, kind):
        raise wrong(owner, name, value, f"be a {getattr(kind, '__name__', kind)}")
    return value
