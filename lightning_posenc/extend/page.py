"""The page of a study: in the terminal, in Markdown, in HTML that needs nothing else."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from lightning_posenc.extend.tables import BEST, BETTER, WORSE, StudyTable
from lightning_posenc.mistakes import escaping

FORM = (Path(__file__).parent / "page.css").read_text("utf-8")
STYLES = {BETTER: "green", WORSE: "red", BEST: "bold green", "": ""}


class StudyPage(NamedTuple):
    """Everything that a study says.

    Args:
        title: What was asked.
        conclusion: What it comes to, in sentences.
        about: The model, how it knows order, how the trained length was inferred; in sentences.
        tables: The most important first.
        left_out: What was not measured, and why; a table of its own has it too.
        next_steps: Commands to go on with, by what they do.
    """

    title: str
    conclusion: Sequence[str]
    about: Sequence[str]
    tables: Sequence[StudyTable]
    left_out: Sequence[str]
    next_steps: Mapping[str, str]


def print_page(console: Console, page: StudyPage, n_tables: int) -> None:
    """To a terminal.

    Args:
        console: The terminal.
        page: What to say.
        n_tables: How many of its tables are shown; files have them all.
    """
    for sentence in page.about:
        console.print(escaping.rich(sentence), style="dim", highlight=False)
    for table in page.tables[:n_tables]:
        shown = RichTable(
            title=escaping.rich(table.title), title_justify="left", box=box.SIMPLE_HEAD
        )
        for i, name in enumerate(table.header):
            shown.add_column(escaping.rich(name), overflow="fold", justify="right" if i else "left")
        for row in table.rows:
            shown.add_row(*(_styled(str(cell), STYLES[cell.kind]) for cell in row))
        console.print(shown)
    for reason in page.left_out:
        console.print(
            escaping.rich(f"left out: {reason}"), style="dim", highlight=False, soft_wrap=True
        )
    for sentence in page.conclusion:
        console.print(escaping.rich(sentence), style="bold", highlight=False)
    for what, command in page.next_steps.items():
        # Never wrapped: it is to be pasted.
        console.print(
            f"{escaping.rich(what)}:\n  [cyan]{escaping.rich(command)}[/]", soft_wrap=True
        )


def markdown(page: StudyPage) -> str:
    """As Markdown, without pictures."""
    lines = [f"# {escaping.markdown(page.title)}", ""]
    lines += [f"**{escaping.markdown(sentence)}**  " for sentence in page.conclusion]
    lines += ["", *(f"- {escaping.markdown(sentence)}" for sentence in page.about)]
    for table in page.tables:
        lines += ["", f"## {escaping.markdown(table.title)}", "", table_markdown(table)]
    for what, command in page.next_steps.items():
        lines += ["", f"{escaping.markdown(what)}: `{escaping.code(command)}`"]
    return "\n".join(lines) + "\n"


def table_markdown(table: StudyTable) -> str:
    """A table with its caption, without its title."""
    lines = [escaping.markdown(table.caption), ""] if table.caption else []
    lines.append(_markdown_row(table.header))
    lines.append("|---" + "|---:" * (len(table.header) - 1) + "|")
    return "\n".join([*lines, *(_markdown_row([str(cell) for cell in row]) for row in table.rows)])


def html(page: StudyPage, pictures: Mapping[str, str]) -> str:
    """As one HTML file with its pictures in it.

    Args:
        page: What to say.
        pictures: Data URIs by title.
    """
    figures = "".join(
        f'<figure><img src="{uri}" alt="{escape(title)}"><figcaption>{escape(title)}'
        "</figcaption></figure>"
        for title, uri in pictures.items()
    )
    first, *others = [_html_table(table) for table in page.tables]
    steps = "".join(
        f"<p>{escape(what)}:<br><code>{escape(command)}</code></p>"
        for what, command in page.next_steps.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{FORM}</style></head><body>"
        f"<header><h1>{escape(page.title)}</h1>{_paragraphs(page.conclusion)}</header>"
        f"{first}<section>{figures}</section>{''.join(others)}"
        f"<footer>{steps}<h2>The model</h2>{_paragraphs(page.about)}</footer></body></html>\n"
    )


def _html_table(table: StudyTable) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    rows = "".join(
        "<tr>"
        + f"<th>{escape(str(row[0]))}</th>"
        + "".join(f'<td class="{cell.kind}">{escape(str(cell))}</td>' for cell in row[1:])
        + "</tr>"
        for row in table.rows
    )
    return (
        f"<article><h2>{escape(table.title)}</h2>{_paragraphs([table.caption])}"
        f"<div><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></article>"
    )


def _paragraphs(sentences: Sequence[str]) -> str:
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences if sentence)


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(escaping.markdown(c).replace("|", r"\|") for c in cells) + " |"


def _styled(text: str, style: str) -> str:
    return f"[{style}]{escaping.rich(text)}[/]" if style else escaping.rich(text)
