"""The page of quantities is that of the table."""

from pathlib import Path

from lightning_posenc.catalogue.quantities import markdown
from lightning_posenc.diagnostics.quantities import QUANTITIES

PAGE = Path(__file__).parents[2] / "docs" / "quantities.md"


def test_the_page_is_that_of_the_table() -> None:
    written = PAGE.read_text("utf-8")
    assert written == markdown(), f"write it anew, as {PAGE.name} says at its head"
    assert written.count("\n| `") == len(QUANTITIES)
