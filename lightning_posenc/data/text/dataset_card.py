"""A folder's own word on where its data is, which the `datasets` library follows anywhere."""

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from lightning_posenc.runs.untrusted import load_yaml, read_text

_CARDS = ("README.md", ".huggingface.yaml")
_RULE = "---"


def check_card(path: str, folder: Path) -> None:
    """Check that a folder of text names files of its own only, and no address to fetch from.

    Args:
        path: As the user named it.
        folder: The same.

    Raises:
        ValueError: If it names another, or its card cannot be read.
    """
    for card in _CARDS:
        if not (folder / card).is_file():
            continue
        try:
            content = load_yaml(_front(read_text(folder / card), card), card)
        except (OSError, ValueError) as error:
            raise ValueError(f"data.path={path}: {error}: remove that file") from error
        for value in _strings(content.get("configs") if isinstance(content, dict) else None):
            parts = PurePath(value)
            if "://" in value or "::" in value or parts.is_absolute() or ".." in parts.parts:
                raise ValueError(
                    f"data.path={path}: its {card} names {value}, which lies elsewhere: name the "
                    "files themselves, or remove it"
                )


def _front(text: str, card: str) -> str:
    """The YAML at the head of a card; a file of YAML is all head."""
    if not card.endswith(".md"):
        return text
    lines = text.splitlines()
    if lines[:1] != [_RULE] or _RULE not in lines[1:]:
        return ""
    return "\n".join(lines[1 : lines.index(_RULE, 1)])


def _strings(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from _strings(value)
    elif isinstance(content, list):
        for value in content:
            yield from _strings(value)
