"""In which keys do two configs differ?"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from lightning_posenc.report.keys import ClassName
from lightning_posenc.report.selection import is_outward

ABSENT = "–"
LONGEST = 300  # characters of a value


class KeyDifference(NamedTuple):
    """A key of two configs.

    Args:
        key: As people type it.
        first: Its value in the first config, as text; ABSENT where that has no such key.
        second: Likewise.
        outward: Whether it changes nothing that is computed: loggers, bars, where files go.
    """

    key: str
    first: str
    second: str
    outward: bool


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[KeyDifference]:
    """Name every key in which two flat configs differ, and no other; what is computed comes first.

    A class of the same name from another package is another class.

    Args:
        first: As `keys.flatten` gives it.
        second: Likewise.

    Example:
        >>> differences({"model.positional": "RoPE", "seed": 0}, {"model.positional": "ALiBi",
        ...                                                       "seed": 0})[0].key
        'model.positional'
    """
    missing = object()
    found = []
    for key in first.keys() | second.keys():
        one, other = (_whole(config.get(key, missing)) for config in (first, second))
        if key in first and key in second and _same(first[key], second[key]):
            continue
        if one == other:  # classes of one name
            one, other = (_path(config.get(key, missing)) for config in (first, second))
        one, other = one if key in first else ABSENT, other if key in second else ABSENT
        found.append(KeyDifference(key, one, other, is_outward(key)))
    return sorted(found, key=lambda each: (each.outward, each.key))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) != isinstance(other, bool):  # True is 1 to Python
        return False
    if isinstance(one, float) and isinstance(other, float) and one != one and other != other:
        return True
    return bool(_path(one) == _path(other))


def _path(value: Any) -> Any:
    return value.path if isinstance(value, ClassName) else value


def _whole(value: Any) -> str:
    """A value as it is written, paths and all."""
    if isinstance(value, ClassName):
        return str(value)
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}…"
