"""Wrong names in a sweep's file, and the right ones nearest to them."""

from collections.abc import Iterable, Mapping
from typing import Any

from lightning_posenc.mistakes.one_line import did_you_mean


def nearest(name: str, names: Iterable[str]) -> str:
    """What to try instead of a wrong name: the nearest right one, or all of them."""
    names = sorted(names)
    return did_you_mean(name, names, f"choose from {', '.join(names)}", cutoff=0.5)


def mapping(where: str, value: Any) -> Mapping[str, Any]:
    """The value, if it is a mapping with names as keys.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{where} must be a mapping of names, got {value!r}")
    return value


def known(where: str, given: Iterable[str], names: Iterable[str]) -> None:
    """Check that names are among the right ones.

    Raises:
        ValueError: On the first that is not; it names the nearest right one.
    """
    for name in given:
        if name not in set(names):
            raise ValueError(f"{where}: unknown key {name!r}: {nearest(name, names)}")
