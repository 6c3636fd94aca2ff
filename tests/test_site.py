"""The lessons hold what they claim, and links of pages lead on the site where they led before."""

import ast
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from lightning_posenc.cli import main

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


NAMED = re.compile(r'"((?:model|data|trainer)\.[\w.]+)": ("\w+"|True|False|\d+)')


def named_settings() -> list[tuple[str, str]]:
    """Settings that the text of a lesson tells a reader to try."""
    text = "\n".join(
        line for path in LESSONS for line in path.read_text("utf-8").splitlines() if line[:1] == "#"
    )
    return sorted(set(NAMED.findall(text)))


@pytest.mark.filterwarnings("ignore")
def test_a_setting_that_a_lesson_names_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    named = named_settings()
    assert ("model.causal", "True") in named
    options = [f"--{name}={value.strip(chr(34))}" for name, value in named]
    for option in options:
        with pytest.raises(SystemExit) as left:
            main(["fit", "--config", "quickstart", option, "--print_config"])
        assert left.value.code == 0, option
    assert "causal: true" in capsys.readouterr().out


def test_the_site_can_run_its_lessons() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    docs = extras["optional-dependencies"]["docs"]
    imported = {
        name.partition(".")[0]
        for path in LESSONS
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom)
            else [each.name for each in node.names] if isinstance(node, ast.Import) else []
        )
    }  # fmt: skip
    assert "transformers" in imported
    assert "lightning-posenc[pretrained]" in docs


def test_what_a_cell_says_is_folded_where_it_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    lessons = website("lessons", monkeypatch)
    folded = lessons._folded("word " * 40)
    assert max(map(len, folded.splitlines())) <= lessons.COLUMNS
    row = "  yarn    2.127" * 20
    assert lessons._folded(row) == row


def test_a_paragraph_for_the_repository_is_not_on_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = website("hooks", monkeypatch)
    for name in ("symptoms", "glossary"):
        text = (ROOT / "docs" / f"{name}.md").read_text("utf-8")
        shown = hooks.OFF_SITE.sub("", text)
        assert "mkdocs serve" in text
        assert "mkdocs serve" not in shown
        assert len(text) - len(shown) < 300  # that paragraph alone


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
