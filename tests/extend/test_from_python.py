"""`extend` as a function."""

from pathlib import Path

from lightning_posenc import api
from tests.extend.conftest import TO


def test_an_extension_gives_its_tables(folder: Path, texts: list[Path], tmp_path: Path) -> None:
    found = api.extend(
        folder, TO, texts, methods=["unchanged", "pi"], sequences=1, passkeys=0, orders=0,
        out=tmp_path,
    )  # fmt: skip
    assert found is not None
    assert set(found.table.index) == {"unchanged", "pi"}
    assert found.table.index.name == "method"
    assert len(found.tables) > 1
    assert found.figures
    assert found.html_page.is_file()
    assert "<table" in found._repr_html_()
