"""What all pages write alike: plain text, tables, examples, links."""

import inspect
import re
from collections.abc import Sequence

from lightning_posenc.catalogue.listing import markdown_table
from lightning_posenc.catalogue.pages.documented import Documented
from lightning_posenc.positions.paper import Paper

_CODE = re.compile(r"(`[^`]+`)")
_MARKS = re.compile(r"([\\*_\[\]<>|#])")
_NUMBER = re.compile(r"\barXiv:(\d{4}\.\d{5})\b")


def plain(text: str) -> str:
    """A docstring's text as Markdown that shows it as it is: code stays code, papers are linked."""
    parts = _CODE.split(text)
    for n in range(0, len(parts), 2):
        escaped = _MARKS.sub(r"\\\1", parts[n])
        parts[n] = _NUMBER.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", escaped)
    return "".join(parts)


def cell(text: str) -> str:
    """Code in a table keeps no pipe, which would end the cell."""
    return plain(text).replace("`|", "` \\|").replace("\n", " ")


def python(code: str) -> str:
    """A block of Python."""
    return f"```python\n{code.strip()}\n```"


def shell(line: str) -> str:
    """A block of a command line."""
    return f"```sh\n{line}\n```"


def picture(what: str, name: str) -> str:
    """A picture of panels, which scrolls on a phone."""
    return f"![{what} {name}]({name}.png){{ .panels }}"


def equation(tex: str) -> str:
    """An equation on a line of its own, and where its symbols are told; "" of none."""
    return f"$$\n{tex}\n$$\n\n[What the symbols mean](../glossary.md#symbols)" if tex else ""


def sourced(paper: Paper | None, said: Documented) -> str:
    """Where a class is from; "" if nobody says."""
    if said.source:
        return plain(said.source)
    return f"“{plain(paper.title)}”, {paper.link}." if paper else ""


def options(kind: type, said: Documented) -> str:
    """The table of a class's arguments with their defaults; "" if there are none to choose."""
    rows = []
    for name, parameter in inspect.signature(kind).parameters.items():
        if name in ("dims", "layer") or parameter.kind is parameter.VAR_KEYWORD:
            continue
        default = "needed" if parameter.default is parameter.empty else f"`{parameter.default!r}`"
        rows.append([f"`{name}`", default.replace("|", "\\|"), cell(said.arguments.get(name, ""))])
    if not rows:
        return ""
    return markdown_table(("option", "default", "what it is, with its range"), rows)


def refusals(said: Documented) -> str:
    """When a class refuses; "" if it never does."""
    return "\n".join(f"- `{name}`: {plain(reason)}" for name, reason in said.raises.items())


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """A table of two columns, without what is empty."""
    return markdown_table(("", ""), [(f"**{name}**", value) for name, value in rows if value])


def page(title: str, parts: Sequence[tuple[str, str]]) -> str:
    """Sections under their headings, without what is empty; "" as a heading is none."""
    written = [f"# {title}"]
    for heading, body in parts:
        if body:
            written.append(f"## {heading}\n\n{body}" if heading else body)
    return "\n\n".join(written) + "\n"
