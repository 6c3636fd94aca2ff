"""Templates of pages, which escape whatever they show."""

from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def environment(folder: Path, autoescape: bool = True) -> Any:
    """Make jinja2's environment for the templates of a folder.

    Args:
        folder: Where they lie.
        autoescape: Whether what they show is escaped as HTML wants; else they do it themselves.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # late: 70 ms

    return Environment(
        loader=FileSystemLoader(folder), autoescape=autoescape, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip


def style() -> str:
    """Give the style that all pages share: light or dark as the reader's device is, narrow too."""
    return (HERE / "style.css").read_text("utf-8")
