"""No encoding without a case, an oracle and a row in the catalogue."""

import ast
import inspect
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lightning_posenc import positional
from lightning_posenc.positional import PositionalEncoding
from tests import oracles
from tests.cases import CASES, Case
from tests.helpers import dims

CATALOGUE = Path(__file__).parents[1] / "docs" / "catalogue.md"
CLASSES = [
    value
    for name in positional.__all__
    if inspect.isclass(value := getattr(positional, name))
    and issubclass(value, PositionalEncoding)
    and value is not PositionalEncoding
    and not inspect.isabstract(value)
]
each_class = pytest.mark.parametrize("encoding", CLASSES)


@each_class
def test_has_a_case(encoding: type[PositionalEncoding]) -> None:
    assert encoding in {type(case.factory(dims(causal=True))) for case in CASES}, (
        f"add a line for {encoding.__name__} to tests/cases.py"
    )


@each_class
def test_has_a_row_in_the_catalogue(encoding: type[PositionalEncoding]) -> None:
    row = f"| `{encoding.__name__}` |"
    rows = [line for line in CATALOGUE.read_text("utf-8").splitlines() if line.startswith(row)]
    assert len(rows) == 1, f"docs/catalogue.md needs one row of its table to begin with {row}"


def test_every_encoding_is_exported() -> None:
    def subclasses(of: type) -> set[type[Any]]:
        return {of}.union(*(subclasses(kind) for kind in list[type[Any]](of.__subclasses__())))

    ours: set[type[Any]] = {
        kind
        for kind in subclasses(PositionalEncoding)
        if kind.__module__.startswith("lightning_posenc.")
        and not kind.__module__.endswith(".base")
        and not inspect.isabstract(kind)
        and not kind.__name__.startswith("_")
    }
    assert ours == set(CLASSES)


def test_names_of_cases_are_unique() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_has_an_oracle(case: Case) -> None:
    oracle: Any = case.oracle
    while isinstance(oracle, partial):
        oracle = oracle.func
    assert oracle.__module__.startswith(oracles.__name__)


@pytest.mark.parametrize(
    "path", sorted(Path(oracles.__path__[0]).glob("*.py")), ids=lambda path: path.stem
)
def test_oracles_share_no_code_with_the_package(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    imported = {
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    ours = {name for name in imported if name.startswith("tests.oracles")}
    ours |= {"lightning_posenc.testing.oracle"}  # records alone
    assert {name.split(".")[0] for name in imported - ours} <= {
        "cmath", "collections", "fractions", "math", "numpy", "typing",
    }  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_case_shares_a_module_between_tests(case: Case) -> None:
    """What one test trains would be in training mode, or trained, in the next."""
    for make in (case.positions, partial(case.factory, dims(causal=True))):
        one, other = (set(map(id, kept.modules())) for kept in (make(), make()))
        assert not one & other
