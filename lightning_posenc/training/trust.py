"""Whose classes a checkpoint's own config may name.

A config is a program: it names classes, and they are imported and called. The user's own config is
the user's own program. That of a checkpoint is whoever's made it; so it may name only classes of
the packages below and of modules that the user's command names, and no functions at all.
"""

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from enum import Enum
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from lightning_posenc.compat.jsonargparse import DENIED, imports_only
from lightning_posenc.training.subclasses import subclasses

TRUSTED = ("lightning_posenc", "torch.nn", "torch.optim", "lightning.pytorch")
OPTION = "--trust"
_LARGE = {name.partition(".")[0] for name in TRUSTED}

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_PLAIN = (type(None), bool, int, float, str, PathLike, Enum, Namespace, dict, list, tuple, set)


def modules_of(values: set[str]) -> set[str]:
    """The modules of what these values name: by a dotted path, or by the name of a loaded class."""
    found = set()
    for value in values:
        if _DOTTED.fullmatch(value) and not Path(value).exists():
            found.add(_module(value))
    if bare := {value for value in values if value.isidentifier()}:
        for kind in subclasses(object):
            if kind.__name__ in bare:
                found.add(_module(f"{kind.__module__}.{kind.__qualname__}"))
    return {each for each in found if each.partition(".")[0] not in sys.stdlib_module_names}


def _module(path: str) -> str:
    """A user's package is trusted whole; of a large one that is not the user's the thing alone."""
    package = path.partition(".")[0]
    return path if package in _LARGE else package


def only(modules: Iterable[str]) -> AbstractContextManager[None]:
    """Within, a parser imports what values name from TRUSTED and these modules alone.

    That holds for where a thing is defined as for the path that names it: `our.module.os.system`
    is refused as `os.system` is.
    """
    return imports_only([*TRUSTED, *modules])


def refused(error: BaseException) -> str | None:
    """What a parser was not allowed to import; None if its error is about something else."""
    found = DENIED.search(str(error))
    return found["name"] if found else None


def hint(name: str, others: Iterable[str] = ()) -> str:
    """What a user can do who wants a name that was refused.

    Args:
        name: It.
        others: What else the config may name, of which it is said at once what is to be trusted.
    """
    module = name.partition(".")[0]
    if module in sys.stdlib_module_names:
        return "no config of a model needs it"
    modules = {each.partition(".")[0] for each in others if _DOTTED.fullmatch(each)}
    foreign = modules - _LARGE - sys.stdlib_module_names - {module}
    more = sorted(each for each in foreign if find_spec(each) is not None)
    return f"if you know that code, say so: {' '.join(f'{OPTION} {m}' for m in (module, *more))}"


def check_calls(config: Any, key: str = "") -> None:
    """Check that whatever a parsed config gives arguments to is a class.

    jsonargparse compares classes with the type that is expected, and functions by what they say
    they return, but only where these are named by themselves: a function under `class_path` is
    called unseen.

    Raises:
        ValueError: On the first that is none.
    """
    for where, value in _parts(config, key):
        path = value.get("class_path") if isinstance(value, Namespace) else None
        if isinstance(path, str) and not inspect.isclass(_found(path)):
            raise ValueError(
                f"{where}.class_path={path} is no class: a function that makes what is "
                f"expected is named by itself ({where}: {path}) and says what it returns"
            )


def check_plain(config: Any, names: set[str], key: str = "") -> None:
    """Check that a parsed config holds no function, nor an object that lies somewhere in a module.

    Args:
        config: The config.
        names: Those that the user's command names are allowed.
        key: Where it stands.

    Raises:
        ValueError: On the first that it holds.
    """
    for where, value in _parts(config, key):
        if isinstance(value, _PLAIN):
            continue
        name = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
        if inspect.isclass(value) or name in names:
            continue
        shown = name.strip(".") or type(value).__name__
        raise ValueError(f"{where}={shown}: a checkpoint's config may name classes only")


def _parts(config: Any, key: str) -> Iterator[tuple[str, Any]]:
    """A config and everything in it, each with its key."""
    yield key, config
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(config, Namespace):
        items = vars(config).items()
    elif isinstance(config, dict):
        items = config.items()
    elif isinstance(config, list | tuple):
        items = enumerate(config)
    for name, value in items:
        below = key if name == "init_args" else f"{key}.{name}" if key else str(name)
        yield from _parts(value, below)


def _found(path: str) -> Any:
    """What a dotted path stands for, which a parser has imported; None if nothing is found."""
    parts = path.split(".")
    for n in range(len(parts) - 1, 0, -1):
        if found := sys.modules.get(".".join(parts[:n])):
            for name in parts[n:]:
                found = getattr(found, name, None)
            return found
    return None
