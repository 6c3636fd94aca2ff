"""Every class with a page says what the page shows, and docstrings' examples run."""

import doctest
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

import lightning_posenc
from lightning_posenc.catalogue.discovery import classes
from lightning_posenc.catalogue.pages.documented import documented, parsed
from lightning_posenc.catalogue.pages.site import KINDS, public_names

CLASSES = [
    pytest.param(name, kind, id=kind.__name__)
    for name, base in KINDS.items()
    for kind in classes(base).values()
]
each_class = pytest.mark.parametrize(("page", "kind"), CLASSES)


@each_class
def test_every_argument_is_told_of(page: str, kind: type) -> None:
    said = documented(kind)
    given = inspect.signature(kind).parameters.values()
    named = {each.name for each in given if each.kind is each.POSITIONAL_OR_KEYWORD}
    assert named - {"dims"} <= said.arguments.keys()
    assert all(said.arguments.values())
    assert all(said.raises.values())


@each_class
def test_the_first_line_is_a_sentence(page: str, kind: type) -> None:
    sentence = documented(kind).sentence
    assert 10 < len(sentence) <= 100
    assert sentence[-1] in ".:…", "the first line ends before its sentence does"


@each_class
def test_the_equation_is_its_own(page: str, kind: Any) -> None:
    """Not that of the class which it extends."""
    if page == "tasks":
        return
    assert "equation" in vars(kind), f"give {kind.__name__} an `equation`, in TeX"
    tex = kind.equation
    assert tex.count("{") == tex.count("}")
    assert tex.count(r"\left") - tex.count(r"\leftarrow") == tex.count(r"\right")
    assert tex.count(r"\begin{") == tex.count(r"\end{")


def test_a_class_with_a_page_is_public() -> None:
    public = {name for names in public_names().values() for name in names}
    assert {kind.__name__ for base in KINDS.values() for kind in classes(base).values()} <= public


def test_a_docstring_is_taken_apart() -> None:
    said = parsed(
        "Adds one.\n\n    y = x + 1, for all x. Source: Who 2020, arXiv:2001.00001.\n    "
        "Deviation: none\n    worth a line.\n\nArgs:\n    x: A number,\n        in (0, 1).\n\n"
        "Raises:\n    ValueError: If x is none.\n\nExample:\n    >>> 1\n    1\n"
    )
    assert said.explained == ["y = x + 1, for all x."]
    assert said.source == "Who 2020, arXiv:2001.00001."
    assert said.deviations == "none worth a line."
    assert said.arguments == {"x": "A number, in (0, 1)."}
    assert said.raises == {"ValueError": "If x is none."}
    assert said.example == ">>> 1\n1"


def modules_with_examples() -> list[str]:
    root = Path(lightning_posenc.__file__).parent
    files = (path for path in sorted(root.rglob("*.py")) if ">>> " in path.read_text("utf-8"))
    return [".".join(path.relative_to(root.parent).with_suffix("").parts) for path in files]


@pytest.mark.parametrize("module", modules_with_examples())
def test_examples_of_docstrings_run(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that want a trained run, or minutes, say `doctest: +SKIP`."""
    monkeypatch.chdir(tmp_path)
    assert not doctest.testmod(importlib.import_module(module)).failed
