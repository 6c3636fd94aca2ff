"""E, G12: a folder of text from a stranger fetches nothing, reads nothing else and runs nothing."""

from pathlib import Path

import pytest

from lightning_posenc.data.text.sources import load_rows
from tests.strangers.conftest import Marks

COLUMNS = {"text_column": "text"}
CARD = """---
configs:
- config_name: default
  data_files: "{}"
---
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "texts"
    made.mkdir()
    (made / "a.txt").write_text("some text")
    return made


@pytest.mark.parametrize(
    "where",
    ["http://127.0.0.1:9/x.txt", "/etc/hostname", "../secret.txt", "zip://x::http://127.0.0.1:9/y"],
)
def test_a_card_names_files_of_its_folder(where: str, folder: Path) -> None:
    (folder / "README.md").write_text(CARD.format(where))
    with pytest.raises(ValueError, match="lies elsewhere"):
        load_rows(str(folder), None, COLUMNS)


def test_a_card_is_read_within_bounds(folder: Path) -> None:
    (folder / "README.md").write_text("---\nconfigs: " + "[" * 20_000 + "\n---\n")
    with pytest.raises(ValueError, match="levels deep"):
        load_rows(str(folder), None, COLUMNS)


def test_code_beside_the_text_is_not_run(folder: Path, mark: Marks) -> None:
    (folder / "texts.py").write_text(f"import os\nos.system({mark.command!r})\n")
    (folder / "README.md").write_text(CARD.format("a.txt"))
    with pytest.raises(ValueError, match="scripts are no longer supported"):
        load_rows(str(folder), None, COLUMNS)
    (folder / "texts.py").rename(folder / "other.py")
    assert load_rows(str(folder), None, COLUMNS)["train"]["text"][:] == ["some text"]
    assert mark.none()
