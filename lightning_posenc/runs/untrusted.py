"""YAML and JSON from disk, which anybody may have written: read within bounds, or refused.

Nothing is constructed before its size is known: a kilobyte of aliases can stand for more nodes
than any memory holds, and a few thousand brackets for more levels than Python descends.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 1 << 24  # of a file; a run's longest, a summary of thousands of metrics, has 2^20
MOST_NODES = 200_000  # with every alias written out
MOST_LEVELS = 100
_HARMLESS = 100  # characters, which without an alias hold no more levels or nodes than that

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is built


def read_yaml(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is not YAML, or beyond the bounds of this module.
    """
    return load_yaml(read_text(path), path.name)


def load_yaml(text: str, name: str) -> Any:
    """What a YAML text holds.

    Args:
        text: The text.
        name: What the error calls it.

    Raises:
        ValueError: If it is not YAML, or beyond the bounds of this module.
    """
    try:
        check_yaml(text)
        return yaml.load(text, _LOADER)
    except (yaml.YAMLError, ValueError) as error:  # a date of month 13 is a ValueError
        raise ValueError(f"{name}: not YAML ({' '.join(str(error).split())})") from None


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is not JSON, or beyond the bounds of this module.
    """
    try:
        return json.loads(read_text(path))
    except RecursionError:
        raise ValueError(f"{path.name}: not JSON (nested too deeply)") from None
    except ValueError as error:
        raise ValueError(f"{path.name}: not JSON ({error})") from None


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """A file's text in UTF-8.

    Args:
        path: The file.
        most: Bytes beyond which it is not read.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is too large, or no text.
    """
    with path.open("rb") as file:  # and not by its size: a device has none
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{path.name}: larger than {most:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name}: not UTF-8 text ({error.reason})") from None


def bounded(load: Callable[[str], Any]) -> Callable[[str], Any]:
    """A loader of YAML that checks the text before it constructs anything."""

    def checked(text: str) -> Any:
        check_yaml(text)
        return load(text)

    return checked


def check_yaml(text: str) -> None:
    """Check that a YAML text is within the bounds of this module.

    Raises:
        yaml.YAMLError: If it is not, or is no YAML.
    """
    if len(text) <= _HARMLESS and "*" not in text:
        return
    if len(text) > MOST_BYTES:
        raise yaml.YAMLError(f"longer than {MOST_BYTES:,} characters")
    sizes: dict[str, int] = {}  # nodes below each anchor, itself included, once it is closed
    open_nodes: list[tuple[str | None, int]] = [(None, 0)]  # from the document down
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.NodeEvent):
            if isinstance(event, yaml.AliasEvent):
                if event.anchor not in sizes:
                    raise yaml.YAMLError(f"the alias *{event.anchor} stands within what it names")
                _add(open_nodes, sizes[event.anchor])
            elif isinstance(event, yaml.ScalarEvent):
                if event.anchor:
                    sizes[event.anchor] = 1
                _add(open_nodes, 1)
            else:
                sizes.pop(event.anchor, None)  # an anchor may be given anew
                open_nodes.append((event.anchor, 1))
                if len(open_nodes) > MOST_LEVELS:
                    raise yaml.YAMLError(f"nested more than {MOST_LEVELS} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_nodes.pop()
            if anchor:
                sizes[anchor] = size
            _add(open_nodes, size)


def _add(open_nodes: list[tuple[str | None, int]], size: int) -> None:
    anchor, so_far = open_nodes[-1]
    if so_far + size > MOST_NODES:
        raise yaml.YAMLError(f"stands for more than {MOST_NODES:,} nodes")
    open_nodes[-1] = anchor, so_far + size
