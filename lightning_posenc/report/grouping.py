"""Runs side by side: which rows and columns there are, and short names for them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lightning_posenc.report.keys import ClassName, below, text

Keys = Mapping[str, Any]
Alternatives = tuple[str, ...]
"""Keys of which a run's first that is not null counts."""

ROWS: tuple[Alternatives, ...] = (("model.positional",), ("model.positions",))
COLUMNS: tuple[Alternatives, ...] = (("data.task", "data.path", "data"),)


def natural(name: str) -> list[tuple[bool, float, str]]:
    """A sorting key that puts 2 before 10, and 0.5 between 0 and 1."""
    parts = re.split(r"(\d+(?:\.\d+)?)", name)
    return [(i % 2 == 0, float(p) if i % 2 else 0.0, p.lower()) for i, p in enumerate(parts)]


def label(configs: Sequence[Keys], by: Sequence[Alternatives]) -> list[str]:
    """A name for each config: the same for those that agree at the keys and below them.

    A class is called by its name, with the classes among its arguments, and with those arguments
    that tell it from others of its name: "RoPE(YaRN) base=500000".

    Args:
        configs: Flat ones.
        by: What they are told apart by.
    """
    parts = [_parts(configs, keys, alone=len(by) == 1) for keys in by]
    return [_joined([(part[i]) for part in parts]) for i in range(len(configs))]


def _joined(parts: Sequence[tuple[str, bool]]) -> str:
    """Classes are joined by a plus, other values by commas."""
    said = ""
    for part, is_class in parts:
        if part:
            said += (" + " if is_class else ", ") * bool(said) + part
    return said or "none"


def _parts(
    configs: Sequence[Keys], alternatives: Alternatives, alone: bool
) -> list[tuple[str, bool]]:
    """What one key contributes to the name of each config, and whether it is a class."""
    chosen = [_first(config, alternatives) for config in configs]
    blocks = [
        {k.removeprefix(key): v for k, v in below(key, config).items() if not _seed(k)}
        for config, key in zip(configs, chosen, strict=True)
    ]
    names = [_name(block, key, alone) for block, key in zip(blocks, chosen, strict=True)]
    said = []
    for block, key, name in zip(blocks, chosen, names, strict=True):
        alike = [b for b, k, n in zip(blocks, chosen, names, strict=True) if (k, n) == (key, name)]
        # Of "data" alone, arguments are no part of the name: it stands for an unknown task.
        shown = {} if key == "data" else _varying(block, alike)
        words = [name, *(f"{k.lstrip('.')}={text(v)}" for k, v in shown.items())]
        said.append((" ".join(filter(None, words)), isinstance(block.get(""), ClassName)))
    return said


def _first(config: Keys, alternatives: Alternatives) -> str:
    for key in alternatives:
        if any(value is not None for value in below(key, config).values()):
            return key
    return alternatives[0]


def _name(block: Keys, key: str, alone: bool) -> str:
    value = block.get("")
    if isinstance(value, ClassName):
        inner = [str(v) for k, v in block.items() if k and isinstance(v, ClassName)
                 and re.fullmatch(r"\.\w+(\.\d+)?", k)]  # fmt: skip
        return value + (f"({', '.join(inner)})" if inner else "")
    if "" not in block or (value is None and not alone):
        return ""
    if isinstance(value, str):
        return text(value)
    return f"{key.rpartition('.')[2]}={text(value)}"


def _varying(block: Keys, alike: Sequence[Keys]) -> dict[str, Any]:
    return {
        k: v
        for k, v in block.items()
        if k
        and not isinstance(v, ClassName)
        and any(k not in other or other[k] != v for other in alike)
    }


def _seed(key: str) -> bool:
    return key.endswith("seed")
