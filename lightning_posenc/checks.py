"""Checks of an argument's kind and range: a mistake is one ValueError of one line.

Each gives the value back, as in `self.width = whole(self, "width", width)`, or says whose argument
it was (an object's, a class's, a function's, or a name), what was given and what is allowed. NaN
and infinity are no numbers, True is none either, and a float is no whole number, not even 4.0.
"""

from collections.abc import Collection, Sequence
from numbers import Integral, Real
from typing import Any, TypeVar

T = TypeVar("T")

# The highest whole number and the largest number, of either sign, unless an argument says
# otherwise: float32 tells neighbours apart up to the one, and holds the other's sixth power.
MOST = 2**24
LARGEST = 1e6
MOST_STEPS = 10**12  # or samples, of a run
MOST_WIDTH = 2**16  # channels of a layer


def wrong(owner: object, name: str, value: object, allowed: str) -> ValueError:
    """Make what is to be raised: `Owner: name=value must …`, the value cut where it is long."""
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
    owner: object, name: str, value: Any, least: float = -LARGEST, most: float = LARGEST,
    *, above: float | None = None, below: float | None = None,
) -> float:  # fmt: skip
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
    """`value`, checked to be of a class or one of several, `Callable` among them.

    Raises:
        ValueError: if it is not.
    """
    if not isinstance(value, kind):
        raise wrong(owner, name, value, f"be a {getattr(kind, '__name__', kind)}")
    return value
