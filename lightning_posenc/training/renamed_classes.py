"""Classes of a checkpoint's config that are not there any more, and what took their place."""

import importlib
import inspect
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from typing import Any


def replaced(config: dict[str, Any], args: list[str]) -> None:
    """Put the class that the command line names in the place of one that cannot be imported.

    Else the config of a checkpoint could not be read any more once a class of its own was renamed
    or moved: `--model.positional=mine.NewName`. Arguments that the new class takes are kept.

    Args:
        config: Of a checkpoint; changed in place.
        args: The command line. Only modules that it names are imported.
    """
    for key, named in _assigned(args):
        place = _at(config, key)
        if place is None or not isinstance(old := place.get("class_path"), str):
            continue
        if old == named or not _is_gone(old, named):
            continue
        place["class_path"] = named
        kind = _imported(named)
        known = inspect.signature(kind).parameters if inspect.isclass(kind) else {}
        if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
            arguments = place.get("init_args") or {}
            place["init_args"] = {k: v for k, v in arguments.items() if k in known}


def _assigned(args: list[str]) -> Iterator[tuple[list[str], str]]:
    """Keys of the command line, without their dashes, and the values that they are given."""
    for arg, following in zip(args, [*args[1:], ""], strict=True):
        if arg.startswith("--"):
            key, equals, value = arg[2:].partition("=")
            yield key.split("."), value if equals else following


def _at(config: dict[str, Any], key: list[str]) -> dict[str, Any] | None:
    """The entry of a class; keys of the command line leave `init_args` out."""
    found: Any = config
    for name in key:
        if isinstance(found, dict) and name not in found:
            found = found.get("init_args")
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found if isinstance(found, dict) else None


def _is_gone(old: str, named: str) -> bool:
    package = old.partition(".")[0]
    if "." not in old:
        return False
    try:
        if find_spec(package) is None:
            return True
    except (ImportError, ValueError):
        return True
    # Nothing is imported but what the command line names itself.
    return package == named.partition(".")[0] and _imported(old) is None


def _imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    with suppress(ImportError, AttributeError, ValueError):
        return getattr(importlib.import_module(module), name)
    return None
