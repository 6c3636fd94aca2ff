"""No two public things share a name."""

import ast
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import Any

import lightning_posenc

ROOT = Path(lightning_posenc.__file__).parent
PACKAGES = [
    ".".join(("lightning_posenc", *path.parent.relative_to(ROOT).parts))
    for path in sorted(ROOT.rglob("__init__.py"))
]


def test_a_public_name_means_one_thing() -> None:
    """Over the `__all__` of every package."""
    meant: dict[str, dict[int, Any]] = defaultdict(dict)
    for package in PACKAGES:
        module = import_module(package)
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)  # and what is promised is there
            meant[name][id(thing)] = package
    assert len(meant) > 100
    twice = {name: sorted(things.values()) for name, things in meant.items() if len(things) > 1}
    assert not twice


def test_a_class_has_a_name_of_its_own() -> None:
    """Over all files, since people read class names in messages, configs and tracebacks."""
    homes: dict[str, list[str]] = defaultdict(list)
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(str(path.relative_to(ROOT)))
    assert not {name: files for name, files in homes.items() if len(files) > 1}


def test_lazy_packages_promise_what_they_import() -> None:
    for package in ("lightning_posenc", "lightning_posenc.diagnostics"):
        module = import_module(package)
        assert set(module._HOMES) == set(module.__all__) - {"__version__"}
