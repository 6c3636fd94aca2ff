"""Imports point one way, down the table of seven questions."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lightning_posenc

ROOT = Path(lightning_posenc.__file__).parent
CORE = {"positions", "positional", "masks", "model"}
LEARNED = {"tasks", "data", "modules"}
WATCHED = {"diagnostics", "callbacks"}

RUN = {
    "run_directory", "metrics_csv", "loggers", "checkpoint_config", "checkpoint_io", "messages",
    "given", "trust", "taken_over", "resuming", "trainer_options", "misfit",
}  # fmt: skip

# What each place may import besides itself and what everything may.
FREE = {
    "checks", "dims", "effective_length", "whole_files", "locks", "library_errors", "terminal",
    "mistakes", "strict_json", "untrusted", "escaping", "__version__",
}  # fmt: skip
MAY_IMPORT: dict[str, set[str]] = {
    "checks": set(),
    "dims": set(),
    "effective_length": set(),
    "whole_files": set(),
    "mistakes": set(),
    "strict_json": set(),
    "untrusted": set(),
    "escaping": set(),
    "library_errors": set(),
    "terminal": set(),
    "locks": set(),
    "trainer_options": set(),
    "positions": set(),
    "positional": {"positions"},
    "masks": set(),
    "model": {"positions", "positional", "masks"},
    "tasks": CORE,
    "data": CORE | {"tasks"},
    "modules": CORE | {"tasks", "data"},
    "diagnostics": CORE,
    "run_directory": set(),
    "metrics_csv": {"run_directory"},
    "loggers": {"run_directory"},
    "startup": set(),
    "given": set(),
    "trust": set(),
    "taken_over": {"run_directory"},
    "renamed_classes": set(),
    "checkpoint_shards": set(),
    "checkpoint_parts": set(),
    "checkpoint_io": {"run_directory", "checkpoint_shards", "checkpoint_parts"},
    "checkpoint_config": {
        "run_directory",
        "loggers",
        "checkpoint_io",
        "given",
        "trust",
        "taken_over",
        "renamed_classes",
    },
    "resuming": {"run_directory", "checkpoint_config", "checkpoint_io"},
    "messages": CORE | LEARNED,
    "misfit": set(),
    "callbacks": CORE | LEARNED | {"diagnostics", "run_directory"},
    "training": CORE | LEARNED | WATCHED | RUN,
    "studies": CORE | LEARNED | WATCHED | RUN | {"training"},
    "cli": CORE | LEARNED | WATCHED | RUN | {"startup", "training", "studies"},
    "__main__": {"cli"},
}
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
        "    from lightning_posenc.studies.sweep import run\n"
    )
    assert imported(tree) == {"cli", "__version__", "", "studies"}


def test_table_has_no_cycle() -> None:
    def below(here: str) -> set[str]:
        return MAY_IMPORT[here].union(*(below(lower) for lower in MAY_IMPORT[here]))

    for here in MAY_IMPORT:
        assert here not in below(here)


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
