"""The lessons hold what they claim, and links of pages lead on the site where they led before."""

import ast
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
LESSONS = sorted((ROOT / "docs" / "tutorial").glob("*.py"))
OF_DOCS = "comes with the extra `docs`"


def website(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of website/, which is no package."""
    for needed in ("mkdocs", "jupytext", "nbclient", "ipykernel", "mathjax"):
        pytest.importorskip(needed, reason=OF_DOCS)
    monkeypatch.syspath_prepend(ROOT / "website")
    monkeypatch.delitem(sys.modules, name, raising=False)
    return __import__(name)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")
def test_a_lesson_holds_what_it_claims(lesson: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that fails raises; the five together take some five minutes of one core."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = website("lessons", monkeypatch).run(lesson)
    assert any(cell.get("outputs") for cell in notebook.cells)


def test_there_are_five_lessons() -> None:
    assert [path.name[0] for path in LESSONS] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_claims_something(lesson: Path) -> None:
    text = lesson.read_text("utf-8")
    assert text.startswith("# %% [markdown]\n# # ")
    claims = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assert)]
    assert len(claims) >= 2
    for heading in ("# ## What you learned\n", "# ## Try\n"):
        assert heading in text


def test_where_a_file_is_on_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = website("hooks", monkeypatch)
    assert hooks._inside("README.md") == "index.md"
    assert hooks._inside("docs/images.md") == "images.md"
    assert hooks._inside("benchmarks/results/tones.md") == "benchmarks/tones.md"
    assert hooks._inside("tests/helpers.py") is None
    for home in ("README.md", "CONTRIBUTING.md", "docs/images.md", "benchmarks/results/tones.md"):
        assert hooks._home(hooks._inside(home)) == home


def test_an_equation_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = website("hooks", monkeypatch)
    file = Path(str(hooks.distribution("django-static-mathjax").locate_file(hooks.MATHJAX)))
    assert file.stat().st_size > 1_000_000
    page = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert "http" not in page.partition("extra_javascript")[2].partition("nav:")[0]
