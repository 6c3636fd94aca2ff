"""Imports point one way, down the table of seven questions."""

import ast
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import lightning_posenc

ROOT = Path(lightning_posenc.__file__).parent
CORE = {"positions", "positional", "masks", "model"}
LEARNED = {"tasks", "data", "modules"}
WATCHED = {"diagnostics", "callbacks"}

# What each place may import besides itself and what everything may.
FREE = {"checks", "compat", "dims", "draws", "mistakes", "__version__"}
MAY_IMPORT: dict[str, set[str]] = {
    "compat": set(),
    "checks": set(),
    "dims": set(),
    "draws": set(),
    "mistakes": set(),
    "positions": set(),
    "positional": {"positions"},
    "masks": set(),
    "model": {"positions", "positional", "masks"},
    "tasks": CORE,
    "runs": set(),
    "pages": {"runs", "diagnostics"},
    "data": CORE | {"tasks", "runs"},
    "modules": CORE | {"tasks", "data", "diagnostics", "runs"},
    "diagnostics": CORE,
    "callbacks": CORE | LEARNED | {"diagnostics", "runs"},
    "pretrained": CORE | LEARNED | WATCHED | {"runs"},
    "training": CORE | LEARNED | WATCHED | {"runs", "pages", "pretrained", "shipped"},
    "catalogue": CORE | LEARNED | {"training", "diagnostics", "runs"},
    "new": set(),
    "export": CORE | LEARNED | {"runs", "training", "pretrained"},
    "inference": CORE | LEARNED | {"runs", "training"},
    "testing": CORE | LEARNED | {"catalogue"},
    "shipped": set(),
    "sweep": {"runs", "training", "diagnostics", "shipped"},
    "report": {"runs", "pages", "diagnostics", "sweep", "diagnose"},
    "extend": {"pretrained", "runs"},
    "diagnose": CORE | LEARNED | WATCHED | {"runs", "pages", "training", "catalogue", "pretrained"},
    "api": LEARNED
    | {"diagnostics", "runs", "training", "sweep", "report", "extend", "diagnose", "shipped"}
    | {"inference"},
    "cli": {"training", "shipped", "inference"},
    "__main__": {"cli"},
}
LARGEST = 0.2  # of the code, in one package
FILES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def place(path: Path) -> str:
    """The package's direct child that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> set[str]:
    """The places that a module imports; "" for the package itself and for relative imports."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" if not node.level else "lightning_posenc"
                      for alias in node.names]  # fmt: skip
    ours = [name.split(".") for name in names if name.split(".")[0] == "lightning_posenc"]
    return {parts[1] if len(parts) > 1 else "" for parts in ours}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    here = place(path)
    assert here in MAY_IMPORT, f"say in MAY_IMPORT what {here} may import"
    upwards = imported(ast.parse(path.read_text("utf-8"))) - MAY_IMPORT[here] - {here} - FREE
    assert not upwards, f"{here} must not import {sorted(upwards)}"


def test_an_arrow_the_other_way_is_seen() -> None:
    tree = ast.parse(
        "import torch\n"
        "import lightning_posenc.cli\n"
        "from lightning_posenc import __version__\n"
        "from .model import Encoder\n"
        "def late():\n"
        "    from lightning_posenc.sweep.command import run\n"
    )
    assert imported(tree) == {"cli", "__version__", "", "sweep"}


def test_table_has_no_cycle() -> None:
    def below(here: str) -> set[str]:
        return MAY_IMPORT[here].union(*(below(lower) for lower in MAY_IMPORT[here]))

    for here in MAY_IMPORT:
        assert here not in below(here)


def test_no_package_holds_more_than_a_fifth() -> None:
    sizes: Counter[str] = Counter()
    for path in FILES:
        sizes[place(path)] += len(path.read_text("utf-8").splitlines())
    largest, lines = sizes.most_common(1)[0]
    assert lines <= LARGEST * sizes.total(), f"{largest} holds {lines / sizes.total():.0%}"


def test_root_holds_what_all_share() -> None:
    modules = {path.stem for path in ROOT.glob("*.py")}
    assert modules == {"__init__", "__main__", "checks", "cli", "dims", "draws"}


def test_files_import_in_one_direction() -> None:
    """Between files too there is no circle, imports within functions left out."""
    below = {dotted(path): modules_imported(path) for path in FILES}
    graph = TopologicalSorter({name: seen & below.keys() for name, seen in below.items()})
    graph.prepare()  # raises CycleError, which names the circle


def dotted(path: Path) -> str:
    """A file's module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("lightning_posenc", *parts)).removesuffix(".__init__")


MODULES = {dotted(path) for path in FILES}


def modules_imported(path: Path) -> set[str]:
    """The modules that a file imports at its top, types alone included; a package stands for its
    `__init__`.
    """
    names: set[str] = set()
    body = ast.parse(path.read_text("utf-8")).body
    for_types = [each for node in body if isinstance(node, ast.If) for each in node.body]
    for node in [*body, *for_types]:
        if isinstance(node, ast.ImportFrom) and node.module:
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= named if named <= MODULES else named | {node.module}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names - {dotted(path)}


def test_importing_the_package_loads_no_torch() -> None:
    code = (
        "import sys, lightning_posenc; lightning_posenc.__version__; print('torch' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )
    assert run.stdout.strip() == "False"


def test_public_names_are_imported_on_use() -> None:
    for name in lightning_posenc.__all__:
        assert getattr(lightning_posenc, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        lightning_posenc.nonsense  # noqa: B018
