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


def test_a_class_of_a_test_has_no_name_of_ours() -> None:
    """A part may go by its short name, which once two classes have it means neither.

    Whether it then fails depends on what else the process of the tests has imported.
    """
    parts = [package for package in PACKAGES if package != "lightning_posenc.testing"]
    ours = {name for package in parts for name in getattr(import_module(package), "__all__", ())}
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and node.bases:
                assert node.name not in ours, f"{path}:{node.lineno}"


def test_lazy_packages_promise_what_they_import() -> None:
    for package in ("lightning_posenc", "lightning_posenc.api", "lightning_posenc.diagnostics"):
        module = import_module(package)
        assert set(module._HOMES) == set(module.__all__) - {"__version__"}
