"""The keys of a config as people type them: `model.positional.base`, not its nest of init_args."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

import yaml

from lightning_posenc.mistakes.one_line import did_you_mean

_NEST = re.compile(r"\.(init_args|dict_kwargs|class_path)(?=\.|$)")


class ClassName(str):
    """The name of a class that a config has chosen, without its path, which it remembers.

    Args:
        path: Dotted.
    """

    path: str

    def __new__(cls, path: str) -> "ClassName":
        made = super().__new__(cls, path.rpartition(".")[2])
        made.path = path
        return made


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Every value of a config by its key.

    A class stands under its own key as its name, its arguments below it: {"model.positional":
    "RoPE", "model.positional.base": 10000.0}. Elements of a list have keys of their own only where
    they are classes: "model.positional.encodings.0".
    """
    if isinstance(config, Mapping) and "class_path" in config:
        found: dict[str, Any] = {prefix: ClassName(str(config["class_path"]))}
        arguments = {**(config.get("init_args") or {}), **(config.get("dict_kwargs") or {})}
        return found | flatten_items(arguments, prefix)
    if isinstance(config, Mapping) and config:
        return flatten_items(config, prefix)
    if isinstance(config, list) and any(isinstance(each, Mapping) for each in config):
        return flatten_items(dict(enumerate(config)), prefix)
    return {prefix: config}


def flatten_items(config: Mapping[Any, Any], prefix: str) -> dict[str, Any]:
    """The same for what stands below a key."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return found


def clean(key: str) -> str:
    """A key without init_args and class_path, which may be typed or left out."""
    return _NEST.sub("", key)


def below(key: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    """What stands at a key and below it, by the whole key."""
    return {k: v for k, v in keys.items() if k == key or k.startswith(f"{key}.")}


def known(configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every key that a config has, blocks of keys included."""
    found: set[str] = set()
    for config in configs:
        for key in config:
            parts = key.split(".")
            found.update(".".join(parts[:n]) for n in range(1, len(parts) + 1))
    return sorted(found)


def near(name: str, names: Iterable[str], n: int = 3) -> str:
    """A hint for a misspelt name: those that are near, else some of them all.

    Args:
        name: As it was typed.
        names: Those that there are.
        n: At most so many.
    """
    names = sorted(set(names))
    # The last part of a dotted key is what people remember.
    last = re.split(r"[./]", name)[-1].lower()
    parts = [each for each in names if re.split(r"[./]", each)[-1].lower() == last]
    some = f"there is {', '.join(names[:8])}{', …' if len(names) > 8 else ''}"
    otherwise = f"did you mean {' or '.join(parts[:n])}?" if parts else some
    return did_you_mean(name, names, otherwise, n=n)


def same(value: Any, typed: str) -> bool:
    """Whether a value is the one that a person typed."""
    if isinstance(value, ClassName):
        return value == typed.rpartition(".")[2]
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return value == typed or value == yaml.safe_load(typed)
    if isinstance(value, int | float):
        try:  # YAML takes 1e-3 for a string
            return value == float(typed)
        except ValueError:
            return False
    return value == yaml.safe_load(typed)


def text(value: Any) -> str:
    """A value, short enough for a table."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return PurePath(value).name if "/" in value else str(value)
    return json.dumps(value, ensure_ascii=False)
