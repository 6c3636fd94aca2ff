"""What `encodings` and `tasks` list is read by people, at any width and in any encoding (G17)."""

import io
import subprocess
import sys
from types import SimpleNamespace

import pytest

from lightning_posenc import cli
from lightning_posenc.catalogue import described
from lightning_posenc.catalogue.docstrings import docstring, summary
from lightning_posenc.catalogue.tasks import available
from lightning_posenc.positional import RoPE
from tests.catalogue.entries import ENTRIES

SENTENCES = {
    "encodings": [entry.sentence for entry in ENTRIES.values()]
    + [line for _, line, _ in (*described.samplers(), *described.scalings())],
    "tasks": [summary(kind) for kind in available().values()],
}


@pytest.fixture(autouse=True)
def _described_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(described, "encodings", lambda *_: iter(ENTRIES.values()))


@pytest.mark.parametrize("command", SENTENCES)
@pytest.mark.parametrize("columns", [80, 120])
def test_no_word_is_broken_at_any_width(
    command: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert cli.main([command]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= columns
    whole = " ".join(shown.split())
    for sentence in SENTENCES[command]:
        assert sentence in whole


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.name)
def test_every_encoding_has_a_sentence_and_not_a_formula(entry: described.Entry) -> None:
    assert entry.sentence[0].isupper()
    assert entry.sentence.endswith(".")
    assert len(entry.sentence) <= 100
    assert not entry.sentence.startswith("PE(")
    assert sum(word.isalpha() for word in entry.sentence.strip(".").split()) >= 4


@pytest.mark.parametrize(
    "arguments", [["encodings"], ["tasks"], ["--help"], ["report", "--help"], ["diagnose", "-h"]]
)
def test_an_ascii_terminal_reads_words_and_no_escapes(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(arguments) == 0
    shown = written.getvalue().decode("ascii")
    assert "\\u" not in shown
    assert "\\x" not in shown


def test_docstrings_that_python_left_out_are_read_from_the_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = docstring(RoPE)
    monkeypatch.setattr(RoPE, "__doc__", None)
    assert docstring(RoPE) == ""
    monkeypatch.setattr(sys, "flags", SimpleNamespace(optimize=2))
    assert docstring(RoPE) == before
    monkeypatch.setattr(RoPE, "__module__", "nowhere")
    with pytest.raises(ValueError, match=r"RoPE: python -OO leaves out .* run without -OO"):
        docstring(RoPE)


@pytest.mark.slow  # a process of its own: Python drops docstrings as it compiles
@pytest.mark.long
def test_optimised_python_lists_the_same() -> None:
    """One process for all: without docstrings every library is compiled anew."""
    lists = [["encodings"], ["tasks"], ["fit", "--help"]]
    done = subprocess.run(
        [
            sys.executable, "-OO", "-c",
            "from lightning_posenc.cli import main\n"
            f"raise SystemExit(any([main(words) for words in {lists}]))",
        ],
        env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "COLUMNS": "1000"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "leaves out what options are for" in done.stderr
    for listed in ("encodings", "tasks"):
        assert sum(sentence in done.stdout for sentence in SENTENCES[listed]) > 30
