"""Options of a function, as the words of the command that does the work: one parser checks both."""

from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from types import FunctionType
from typing import Any

import yaml

Paths = str | Path | Iterable[str | Path]


def options(**given: Any) -> list[str]:
    """`--name value` for each; True stands for a switch; None and False are left out."""
    said = []
    for name, value in given.items():
        if value is None or value is False:
            continue
        said.append(f"--{name}")
        if value is not True:
            said.append(str(value))
    return said


def joined(values: Any) -> str | None:
    """Several values in one word, as `--lengths 64,128` has them; None if there are none."""
    values = several(values)
    return ",".join(map(str, values)) if values else None


def following(name: str, values: Any) -> list[str]:
    """`--name` with all values behind it; nothing if there are none."""
    values = several(values)
    return [f"--{name}", *map(str, values)] if values else []


def repeated(name: str, values: Any) -> list[str]:
    """`--name value` for each of several values."""
    return [word for value in several(values) for word in (f"--{name}", str(value))]


def several(values: Any) -> list[Any]:
    """One value, or several, as a list; None for none."""
    if values is None:
        return []
    if isinstance(values, str | Path) or not isinstance(values, Iterable):
        return [values]
    return list(values)


def settings(given: Mapping[str, Any]) -> list[str]:
    """`--key=value` for each setting of a config, nested or by dotted keys, as YAML has values."""
    said = []
    for key, value in given.items():
        if isinstance(value, Mapping) and "class_path" not in value:
            said += settings({f"{key}.{name}": each for name, each in value.items()})
        else:
            said.append(f"--{key}={_value(str(key), value)}")
    return said


def as_yaml(given: Mapping[str, Any]) -> str:
    """A config or a sweep as the text of a file.

    Raises:
        ValueError: If it holds what no file can.
    """
    return str(yaml.safe_dump(_plain("", given), sort_keys=False))


def _value(key: str, value: Any) -> str:
    value = _plain(key, value)
    if isinstance(value, str):
        return value
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"))
    return str(text.removesuffix("\n...\n").strip())


def _plain(key: str, value: Any) -> Any:
    """A value as files have it: numbers of NumPy and torch as numbers, classes by their paths."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _plain(f"{key}.{name}".strip("."), each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(key, each) for each in value]
    if isinstance(value, type | FunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    if hasattr(value, "tolist"):  # numbers and arrays
        return _plain(key, value.tolist())
    raise ValueError(
        f"{key}={value!r}: a {type(value).__name__} is no value of a config: give a class by its "
        "name, with options as {'class_path': …, 'init_args': {…}}, or fit(module, data)"
    )
