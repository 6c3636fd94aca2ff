"""A list for a terminal: a line of facts for each thing, and below it what the thing is.

A column of sentences beside the facts would be a few letters wide at 80 columns.
"""

from collections.abc import Sequence
from textwrap import wrap
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from lightning_posenc.mistakes.terminal import written

INDENT = 4 * " "


class Row(NamedTuple):
    """A thing of the list.

    Args:
        facts: What stands in the columns; the first is the name, never cut.
        sentence: What it is.
        more: What is worth a line of its own; "" for none.
    """

    facts: Sequence[str]
    sentence: str
    more: str = ""


def show(console: Console, title: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Print a list, as wide as its facts are; sentences are broken between words."""
    widths = [
        max(map(len, column)) for column in zip(columns, *(r.facts for r in rows), strict=True)
    ]
    print()
    _line(console, title, "italic")
    print()
    _line(console, _in_columns(columns, widths), "bold")
    for row in rows:
        _line(console, _in_columns(row.facts, widths))
        _paragraph(console, row.sentence)
        _paragraph(console, row.more, "dim")


def _in_columns(cells: Sequence[str], widths: list[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style), soft_wrap=True)


def _paragraph(console: Console, text: str, style: str = "") -> None:
    # Spelt out before it is broken: a theta is longer than a letter.
    shown = written(text, console.encoding)
    for line in wrap(shown, console.width, initial_indent=INDENT, subsequent_indent=INDENT):
        _line(console, line, style)


def unmade(names: Sequence[str]) -> str:
    """Which classes are not described, for nobody knows their arguments; "" if there are none."""
    return f"Not described, since they need arguments: {', '.join(names)}." if names else ""


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
