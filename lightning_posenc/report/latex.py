"""A report as LaTeX that compiles: tables by booktabs, figures, a methods paragraph."""

import math
import re
from typing import Any

from lightning_posenc.mistakes import escaping
from lightning_posenc.pages.templates import environment
from lightning_posenc.report.page import HERE, Cell, Page, Table

LONG = 30  # lines from which on a table is continued on the next page
WIDE = 112  # characters of a line that fit a page
GAP = 3  # characters between two columns
NAME, VALUE = 48, 28  # characters from which on names of a row, and its values, are broken
_WORD = 16  # letters that need no place to be broken at
_BREAKS = re.compile(r"(?<=[_/.=,:;()\[\]{}+-])(?=\w)|(?<=[a-z0-9])(?=[A-Z])")


class _Made(str):
    """LaTeX, not to be escaped."""


def document(page: Page, methods: str) -> str:
    """Write a document that pdflatex takes, whose figures lie in figures/ as PDF.

    Every value is escaped, so that a stranger's name of a task is no command.

    Args:
        page: The report.
        methods: Paragraph of what was done.
    """
    made: Any = environment(HERE, autoescape=False).overlay(
        block_start_string="<%", block_end_string="%>", variable_start_string="<<",
        variable_end_string=">>", comment_start_string="<#", comment_end_string="#>",
        finalize=lambda said: said if isinstance(said, _Made) else _text(str(said)),
    )  # fmt: skip
    made.filters["tabular"] = lambda table: _Made(tabular(table))
    made.filters["is_long"] = is_long
    made.filters["made"] = _Made
    made.filters["label"] = lambda title: _Made(
        re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    )
    return str(made.get_template("page.tex.j2").render(page=page, methods=methods))


def tabular(table: Table) -> str:
    """Give a table's tabular, or its longtable if it is long; what names a row is text.

    Columns that do not fit a page go into further tables below, which name the rows again. Long
    names are broken into lines.
    """
    kind = "longtable" if is_long(table) else "tabular"
    return "\n\n\\medskip\n".join(_tabular(part, kind) for part in _parts(table))


def is_long(table: Table) -> bool:
    """Whether a table does not fit one page: with the lines that broken names take."""
    parts = _parts(table)
    lines = 4 * (len(parts) - 1)  # of rules and headers
    for part in parts:
        for row in part.rows:
            broken = (_width(cell.text) / most for cell, most in zip(row, _most(part), strict=True))
            lines += max(map(math.ceil, broken), default=1) or 1
    return lines > LONG


def _parts(table: Table) -> list[Table]:
    widths = [
        min(wide, most) + GAP for wide, most in zip(_widths(table), _most(table), strict=True)
    ]
    names = range(table.names)
    groups: list[list[int]] = [[]]
    for i in range(table.names, len(widths)):
        if groups[-1] and sum(widths[k] for k in (*names, *groups[-1], i)) > WIDE:
            groups.append([])
        groups[-1].append(i)
    return [
        Table([table.header[i] for i in (*names, *group)],
              [[row[i] for i in (*names, *group)] for row in table.rows], table.names)
        for group in groups
    ]  # fmt: skip


def _most(table: Table) -> list[int]:
    others = len(table.header) - table.names
    return [NAME // table.names] * table.names + [VALUE] * others


def _widths(table: Table) -> list[int]:
    """Characters of each column's longest cell."""
    lines = [table.header, *([cell.text + cell.mark for cell in row] for row in table.rows)]
    return [max(_width(line[i]) for line in lines) for i in range(len(table.header))]


def _width(said: str) -> int:
    """Characters of a text as it is set, where a sign that no font has is its number."""
    return sum(8 if escaping.latex(sign).startswith(r"\texttt") else 1 for sign in said)


def _tabular(table: Table, kind: str) -> str:
    others = len(table.header) - table.names
    columns = [
        side if wide <= most else rf">{{{ragged}\arraybackslash}}p{{{most / WIDE:.3f}\linewidth}}"
        for side, ragged, wide, most in zip(
            "l" * table.names + "r" * others,
            [r"\raggedright"] * table.names + [r"\raggedleft"] * others,
            _widths(table), _most(table), strict=True,
        )
    ]  # fmt: skip
    header = " & ".join(map(_text, table.header)) + r" \\"
    lines = [rf"\begin{{{kind}}}{{{''.join(columns)}}}", r"\toprule", header, r"\midrule"]
    lines += [r"\endhead"] if kind == "longtable" else []
    lines += [" & ".join(map(_cell, row)) + r" \\" for row in table.rows]
    return "\n".join([*lines, r"\bottomrule", rf"\end{{{kind}}}"])


def _cell(cell: Cell) -> str:
    said = _text(f"{cell.text}{cell.mark}")
    return rf"\textbf{{{said}}}" if cell.bold else said


def _text(said: str) -> str:
    words = " ".join(said.splitlines()).split(" ")
    return " ".join(map(_broken, words)).replace(r"d\_z", "$d_z$")


def _broken(word: str) -> str:
    """A word, escaped; a long one with places where a line may end."""
    if _width(word) <= _WORD:
        return escaping.latex(word)
    pieces = [""]
    for part in _BREAKS.split(word):
        pieces.append("")
        for sign in part:
            if _width(pieces[-1] + sign) > _WORD:
                pieces.append("")
            pieces[-1] += sign
    return r"\allowbreak{}".join(map(escaping.latex, filter(None, pieces)))
