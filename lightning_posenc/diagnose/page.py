"""The doctor's page: in the terminal, in Markdown, in HTML that needs nothing else."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from lightning_posenc.diagnose import (
    curve_page,
    heads_page,
    language_page,
    locality_page,
    whereabouts_page,
)
from lightning_posenc.diagnose.ailments import NOT_LEARNED, Ailment, Finding, Verdict
from lightning_posenc.diagnose.blind_spots import blind_spots
from lightning_posenc.diagnose.causes import Cause
from lightning_posenc.diagnose.examination import Examination
from lightning_posenc.diagnostics.metric_keys import of_name
from lightning_posenc.diagnostics.quantities import Quantity
from lightning_posenc.mistakes import escaping
from lightning_posenc.runs import strict_json

STYLES = {
    Verdict.ILL: "bold red",
    Verdict.WATCH: "yellow",
    Verdict.HEALTHY: "green",
    Verdict.NOT_APPLICABLE: "dim",
    Verdict.NOT_JUDGED: "dim",
}
SIGNS = {
    Verdict.ILL: "✖",
    Verdict.WATCH: "!",
    Verdict.HEALTHY: "✔",
    Verdict.NOT_APPLICABLE: "–",
    Verdict.NOT_JUDGED: "?",
}
ORDER = list(STYLES)  # the worst first
FORM = (Path(__file__).parent / "page.css").read_text("utf-8")

_UNBLAMED = " (steps, rate, labels or difficulty: no part of the model is blamed)"
_UNKNOWN = " (untrained, or a text of another kind: no part of the model is blamed)"
UNSEEN = "What the doctor cannot see"
MEASURED = "Everything that was measured by layer"

Diagnosis = Sequence[tuple[Ailment, Finding]]


class Summary(NamedTuple):
    """The first lines of a page."""

    verdict: Verdict
    line: str
    about: str
    cause: str = ""


def summary(examination: Examination, diagnosis: Diagnosis, cause: Cause | None = None) -> Summary:
    """The worst verdict, what it is about, what was examined, and what is the cause."""
    by_verdict = {
        verdict: [ailment.name for ailment, found in diagnosis if found.verdict == verdict]
        for verdict in ORDER
    }
    verdict = next(
        (each for each in (Verdict.ILL, Verdict.WATCH) if by_verdict[each]), Verdict.HEALTHY
    )
    note = _UNBLAMED if examination.is_own else _UNKNOWN
    names = ", ".join(
        name + note if verdict == Verdict.WATCH and name == NOT_LEARNED.name else name
        for name in by_verdict[verdict]
    )
    line = {
        Verdict.ILL: f"Ill: {names}.",
        Verdict.WATCH: f"Not ill. To watch: {names}.",
        Verdict.HEALTHY: "Healthy: nothing found.",
    }[verdict]
    e = examination
    about = (
        f"{e.name}: {e.encoding}, {e.n_layers} layers, {e.parameters:,} parameters, examined at "
        f"{e.length} tokens"
        + ("" if e.steps is None else f", trained for {e.steps:,} steps")
        + f". {UNSEEN} is said at the end."
    )
    return Summary(verdict, line, about, _cause(diagnosis, cause))


def _cause(diagnosis: Diagnosis, cause: Cause | None) -> str:
    """What to mend first; nothing where one thing alone is ill and no cut shows it."""
    n_ill = sum(found.verdict == Verdict.ILL for _, found in diagnosis)
    if cause is None or (n_ill == 1 and not cause.proved and not cause.tried):
        return ""
    of = f"{cause.ailment.number}, {cause.ailment.name}"
    return f"{'The cause is' if cause.proved else 'To be mended first:'} {of}: {cause.said}."


class TitledRows(NamedTuple):
    """Findings under a title, each with a name."""

    title: str
    rows: list[tuple[str, str]]


def measured_by_layer(examination: Examination) -> dict[str, list[float]]:
    """Every quantity that was measured by layer, in words; of heads, what stands for the layer."""
    found = {}
    for name, values in examination.by_layer.items():
        row = of_name(name) or Quantity(name, name)
        of_heads = max if row.largest else mean
        found[row.described] = [of_heads(x) if isinstance(x, list) else x for x in values]
    return {title: values for title, values in found.items() if values}


def worst_first(diagnosis: Diagnosis) -> list[tuple[Ailment, Finding]]:
    """Sorted by verdict; within one, in the order in which they were judged."""
    return sorted(diagnosis, key=lambda pair: ORDER.index(pair[1].verdict))


def sections(examination: Examination) -> list[TitledRows]:
    """What is said beyond the ailments."""
    e = examination
    found = []
    if e.whereabouts is not None:
        found.append(TitledRows(whereabouts_page.TITLE, whereabouts_page.rows(e.whereabouts)))
    if e.language is not None:
        found.append(TitledRows(language_page.TITLE, language_page.rows(e.language)))
    if e.curve is not None:
        found.append(TitledRows(curve_page.TITLE, curve_page.rows(e.curve)))
    if e.locality:
        found.append(TitledRows(locality_page.TITLE, locality_page.rows(dict(e.locality))))
    if e.heads:
        found.append(TitledRows(heads_page.TITLE, heads_page.rows(e.heads)))
    return found


def print_page(
    console: Console, examination: Examination, diagnosis: Diagnosis, cause: Cause | None = None
) -> None:
    """To a terminal."""
    head = summary(examination, diagnosis, cause)
    console.print(escaping.rich(head.about), style="dim")
    console.print(escaping.rich(head.line), style=STYLES[head.verdict])
    if head.cause:
        console.print(escaping.rich(head.cause))
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("", "finding", "verdict", "measured"):
        table.add_column(name, overflow="fold")
    for ailment, found in worst_first(diagnosis):
        verdict = f"[{STYLES[found.verdict]}]{SIGNS[found.verdict]} {found.verdict}[/]"
        table.add_row(str(ailment.number), ailment.title(found), verdict, escaping.rich(found.said))
    console.print(table)
    for ailment, found in worst_first(diagnosis):
        if found.remedies:
            style = STYLES[found.verdict]
            console.print(f"[{style}]{ailment.number} {ailment.name}[/], what helps:")
            for remedy in found.remedies:
                # Never wrapped: it is to be pasted.
                if remedy.line:
                    console.print(f"  [cyan]{escaping.rich(remedy.line)}[/]", soft_wrap=True)
                console.print(f"      {escaping.rich(remedy.why)}", style="dim")
    for title, rows in sections(examination):
        console.print(f"{title}:")
        for name, said in rows:
            console.print(f"  {escaping.rich(name)}: {escaping.rich(said)}")
    console.print(f"{UNSEEN}:")
    for sentence in blind_spots(examination):
        console.print(f"  {escaping.rich(sentence)}", style="dim")


def markdown(examination: Examination, diagnosis: Diagnosis, cause: Cause | None = None) -> str:
    """As Markdown, without pictures."""
    head = summary(examination, diagnosis, cause)
    lines = ["# Diagnosis", "", escaping.markdown(head.about), "", f"**{head.line}**", ""]
    lines += [escaping.markdown(head.cause), ""] if head.cause else []
    lines += ["| | finding | verdict | measured |", "|---|---|---|---|"]
    for ailment, found in worst_first(diagnosis):
        said = escaping.markdown(found.said).replace("|", "\\|")
        sign = SIGNS[found.verdict]
        lines.append(
            f"| {ailment.number} | {ailment.title(found)} | {sign} {found.verdict} | {said} |"
        )
    for ailment, found in worst_first(diagnosis):
        if not found.remedies and not found.by_layer:
            continue
        lines += ["", f"## {ailment.number}. {ailment.title(found)}: {found.verdict}"]
        if found.remedies:
            lines += ["", ailment.meaning]
            lines += ["", "What helps:", ""]
            lines += [
                (f"- `{escaping.code(remedy.line)}`: " if remedy.line else "- ")
                + escaping.markdown(remedy.why)
                for remedy in found.remedies
            ]
        if found.by_layer:
            lines += ["", *_markdown_layers(found.by_layer)]
    for title, rows in sections(examination):
        lines += ["", f"## {title}", ""]
        lines += [f"- {escaping.markdown(name)}: {escaping.markdown(said)}" for name, said in rows]
    if everything := measured_by_layer(examination):
        lines += ["", f"## {MEASURED}", "", *_markdown_layers(everything)]
    lines += ["", f"## {UNSEEN}", "", *(f"- {sentence}" for sentence in blind_spots(examination))]
    return "\n".join(lines) + "\n"


def _markdown_layers(by_layer: Mapping[str, list[float]]) -> list[str]:
    n = max(map(len, by_layer.values()))
    lines = [f"| | {' | '.join(map(str, range(n)))} |", "|---" * (n + 1) + "|"]
    for name, values in by_layer.items():
        cells = [f"{value:.3g}" for value in values] + [""] * (n - len(values))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def html(
    examination: Examination,
    diagnosis: Diagnosis,
    pictures: dict[str, str],
    cause: Cause | None = None,
) -> str:
    """As one HTML file with its pictures in it.

    Args:
        examination: What was measured.
        diagnosis: What was found.
        pictures: Data URIs by title.
        cause: Which of it brings the others about.
    """
    head = summary(examination, diagnosis, cause)
    why = f"<p><strong>{escape(head.cause)}</strong></p>" if head.cause else ""
    figures = "".join(
        f'<figure><img src="{uri}" alt="{escape(title)}"><figcaption>{escape(title)}'
        "</figcaption></figure>"
        for title, uri in pictures.items()
    )
    cards = dict.fromkeys((True, False), "")
    for ailment, found in worst_first(diagnosis):
        cards[found.verdict in (Verdict.ILL, Verdict.WATCH)] += _card(ailment, found)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Diagnosis</title><style>{FORM}</style></head><body>"
        f'<header class="{_class(head.verdict)}"><h1>{escape(head.line)}</h1>'
        f"{why}<p>{escape(head.about)}</p></header>"
        f"<main>{cards[True]}{_sections(examination)}{cards[False]}</main>"
        f"<section>{figures}</section>"
        f"{_everything(examination)}<footer><h2>{UNSEEN}</h2><ul>"
        + "".join(f"<li>{escape(sentence)}</li>" for sentence in blind_spots(examination))
        + "</ul></footer></body></html>\n"
    )


def as_json(examination: Examination, diagnosis: Diagnosis, cause: Cause | None = None) -> str:
    """For other programs: the first lines, and every finding."""
    head = summary(examination, diagnosis, cause)
    findings = [
        {"number": ailment.number, "name": ailment.name, "verdict": str(found.verdict),
         "said": found.said}
        for ailment, found in worst_first(diagnosis)
    ]  # fmt: skip
    said = {**head._asdict(), "verdict": str(head.verdict), "findings": findings}
    return strict_json.text(said, indent=1) + "\n"


def _card(ailment: Ailment, found: Finding) -> str:
    kind = _class(found.verdict)
    title = f"{ailment.number}. {ailment.title(found)}"
    parts = [
        f'<article class="{kind}"><h2><span>{SIGNS[found.verdict]} {found.verdict}</span> '
        f"{escape(title)}</h2><p>{escape(found.said)}</p>"
    ]
    if found.remedies:
        lines = "".join(
            f"<li>{_code(remedy.line)}<span>{_prose(remedy.why)}</span></li>"
            for remedy in found.remedies
        )
        parts.append(
            f'<p class="meaning">{escape(ailment.meaning)}</p><p>What helps:</p><ul>{lines}</ul>'
        )
    if found.by_layer:
        parts.append(f"<details><summary>by layer</summary>{_rows(found.by_layer)}</details>")
    return "".join([*parts, "</article>"])


def _sections(examination: Examination) -> str:
    return "".join(
        f'<section class="text"><h2>{escape(title)}</h2><table>'
        + "".join(
            f'<tr><th>{escape(name)}</th><td class="said">{escape(said)}</td></tr>'
            for name, said in rows
        )
        + "</table></section>"
        for title, rows in sections(examination)
    )


def _everything(examination: Examination) -> str:
    found = measured_by_layer(examination)
    return f"<details><summary>{MEASURED}</summary>{_rows(found)}</details>" if found else ""


def _rows(by_layer: Mapping[str, list[float]]) -> str:
    rows = "".join(_row(name, values) for name, values in by_layer.items())
    return f"<div><table>{rows}</table></div>"


def _code(line: str) -> str:
    return f"<code>{escape(line)}</code> " if line else ""


def _prose(text: str) -> str:
    """Text whose `names` are shown as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _row(name: str, values: list[float]) -> str:
    cells = "".join(f"<td>{value:.3g}</td>" for value in values)
    return f"<tr><th>{escape(name)}</th>{cells}</tr>"


def _class(verdict: Verdict) -> str:
    return verdict.replace(" ", "-")
