"""What is there of a kind? Classes are found by importing modules, ours or anybody's, not listed.

A module is named as Python imports it, from where the command runs: `my_encodings`,
`my_package.encodings`, or `my_package` for all that lies in it.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from lightning_posenc.training.subclasses import subclasses

OURS = "lightning_posenc"


def classes(base: type, modules: Sequence[str] = (OURS,)) -> dict[str, Any]:
    """Every class of a kind that can be made and is defined in the modules, by its name.

    A stranger's is named by the path that a config gives as its `class_path`.

    Args:
        base: The kind.
        modules: Names of modules and of packages; of ours, what is imported counts.

    Raises:
        ValueError: If there is no such module, or it cannot be imported.
    """
    for name in modules:
        imported(name)
    found = {}
    for kind in sorted(subclasses(base), key=lambda kind: (kind.__name__.lower(), kind.__module__)):
        if inspect.isabstract(kind) or kind.__name__.startswith("_") or "<" in kind.__qualname__:
            continue
        if is_in(kind, OURS) and (
            kind.__module__.endswith(".base")  # what methods share
            or not is_in(kind, base.__module__.rpartition(".")[0])  # what else is built on them
        ):
            continue
        if any(is_in(kind, name) for name in modules):
            found[path_of(kind)] = kind
    return found


def path_of(kind: type) -> str:
    """How a config names a class: ours by its name alone, another's by its path."""
    return kind.__name__ if is_in(kind, OURS) else f"{kind.__module__}.{kind.__qualname__}"


def is_in(kind: type, module: str) -> bool:
    """Whether a class is defined in a module, or in a package's modules."""
    return f"{kind.__module__}.".startswith(f"{module}.")


def imported(name: str) -> ModuleType:
    """A module, with all that lies in it if it is a package of somebody else's.

    Raises:
        ValueError: If it is not there, or fails as it is imported: how, in one line.
    """
    module = _imported(name)
    if is_package_of_another(module):
        for info in pkgutil.walk_packages(module.__path__, f"{name}."):
            if not info.name.endswith(".__main__"):
                _imported(info.name)
    return module


def is_package_of_another(module: ModuleType) -> bool:
    """Whether it has modules that nobody may have imported yet."""
    return hasattr(module, "__path__") and module.__name__.partition(".")[0] != OURS


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ValueError(
                f"no module {name!r} is found from here: name it as Python imports it, without .py"
            ) from error
        raise ValueError(f"module {name}: {error}") from error
    except Exception as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(f"module {name} cannot be imported: {said}") from error


def found(base: type, path: str) -> Any:
    """The class of a kind that a path `module.Class` leads to; None if there is none.

    Raises:
        ValueError: If the module is there and cannot be imported.
    """
    module, _, name = path.rpartition(".")
    kind = getattr(_imported(module), name, None) if is_module(module) else None
    wanted = inspect.isclass(kind) and issubclass(kind, base) and not inspect.isabstract(kind)
    return kind if wanted else None


def is_module(name: str) -> bool:
    """Whether Python finds a module of that name."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False
