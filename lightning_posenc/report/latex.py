"""A report as LaTeX that compiles: tables by booktabs, figures, a methods paragraph."""

import re
from typing import Any

from lightning_posenc.mistakes import escaping
from lightning_posenc.pages.templates import environment
from lightning_posenc.report.page import HERE, Cell, Page, Table

LONG = 30  # lines from which on a table is continued on the next page
WIDE = 116  # characters of a line that fit a page


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
    made.filters["made"] = _Made
    made.filters["label"] = lambda title: _Made(
        re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    )
    return str(made.get_template("page.tex.j2").render(page=page, methods=methods))


def tabular(table: Table) -> str:
    """Give a table's tabular, or its longtable if it is long; the first column is text.

    Columns that do not fit a page go into further tables below, which name the rows again.
    """
    return "\n\n\\medskip\n".join(_tabular(part) for part in _parts(table))


def _parts(table: Table) -> list[Table]:
    lines = [[Cell(name) for name in table.header], *table.rows]
    widths = [max(len(line[i].text) for line in lines) + 2 for i in range(len(table.header))]
    groups: list[list[int]] = [[]]
    for i in range(1, len(widths)):
        if groups[-1] and widths[0] + sum(widths[k] for k in groups[-1]) + widths[i] > WIDE:
            groups.append([])
        groups[-1].append(i)
    return [
        Table([table.header[i] for i in (0, *group)],
              [[row[i] for i in (0, *group)] for row in table.rows])
        for group in groups
    ]  # fmt: skip


def _tabular(table: Table) -> str:
    environment_ = "longtable" if len(table.rows) > LONG else "tabular"
    columns = "l" + "r" * (len(table.header) - 1)
    header = " & ".join(map(_text, table.header)) + r" \\"
    lines = [rf"\begin{{{environment_}}}{{{columns}}}", r"\toprule", header, r"\midrule"]
    lines += [r"\endhead"] if environment_ == "longtable" else []
    lines += [" & ".join(map(_cell, row)) + r" \\" for row in table.rows]
    return "\n".join([*lines, r"\bottomrule", rf"\end{{{environment_}}}"])


def _cell(cell: Cell) -> str:
    said = _text(f"{cell.text}{cell.mark}")
    return rf"\textbf{{{said}}}" if cell.bold else said


def _text(said: str) -> str:
    return escaping.latex(said).replace(r"d\_z", "$d_z$")
