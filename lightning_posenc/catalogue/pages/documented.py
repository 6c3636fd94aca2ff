"""A class's docstring, taken apart into what a page shows in places of its own."""

import re
from typing import NamedTuple

from lightning_posenc.catalogue.docstrings import docstring

_HEADING = re.compile(r"^(Args|Raises|Example|Returns):$")
_ARGUMENT = re.compile(r"^(\w+): (.*)$")
# Where the source and the deviations begin; each goes to the end of its paragraph.
_ASIDE = re.compile(r"(?:^|(?<=[.;:)\"] ))(Source|Deviations?): ")


class Documented(NamedTuple):
    """What a docstring says.

    Args:
        sentence: Its first line.
        explained: Paragraphs of what follows, in plain text, without the asides below.
        source: What it transcribes; "" if it does not say.
        deviations: In what it differs from that; "" for nothing.
        arguments: What each argument is, with its unit and range.
        raises: When it refuses, each by the name of the exception and the reason.
        example: As it stands; "" for none.
    """

    sentence: str
    explained: list[str]
    source: str
    deviations: str
    arguments: dict[str, str]
    raises: dict[str, str]
    example: str


def documented(kind: type) -> Documented:
    """Read a class's own docstring."""
    return parsed(docstring(kind))


def parsed(text: str) -> Documented:
    """Read a docstring as this package writes them."""
    sections = _sections(text)
    (sentence, *paragraphs) = sections[""].split("\n\n")
    explained, asides = [], {"Source": "", "Deviation": ""}
    for paragraph in paragraphs:
        said = " ".join(paragraph.split())
        pieces = _ASIDE.split(said)
        if rest := pieces[0].strip():
            explained.append(rest)
        for name, aside in zip(pieces[1::2], pieces[2::2], strict=True):
            name = name.removesuffix("s")
            asides[name] = " ".join([asides[name], aside.strip()]).strip()
    return Documented(
        " ".join(sentence.split()),
        explained,
        asides["Source"],
        asides["Deviation"],
        _named(sections.get("Args", "")),
        _named(sections.get("Raises", "")),
        sections.get("Example", ""),
    )


def _sections(text: str) -> dict[str, str]:
    """What stands above the first heading, under "", and what under each, without its indent."""
    found: dict[str, list[str]] = {"": []}
    name = ""
    for line in text.splitlines():
        if heading := _HEADING.match(line):
            name = heading[1]
            found[name] = []
        else:
            found[name].append(line.removeprefix("    ") if name else line)
    return {name: "\n".join(lines).strip() for name, lines in found.items()}


def _named(section: str) -> dict[str, str]:
    """`name: text` with further lines indented, or under it."""
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if begun := _ARGUMENT.match(line):
            name = begun[1]
            found[name] = begun[2]
        elif name:
            found[name] += " " + line.strip()
    return found
