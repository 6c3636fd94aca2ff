"""Where the configs and sweeps that come with the package lie, and what is meant by their names.

From a clone they are the folders beside the package, in an installed wheel they travel in it.
"""

import os
import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

KINDS = ("configs", "sweeps")
_PACKAGE = Path(__file__).parent


def folder(kind: str) -> Path:
    """The folder of configs or of sweeps."""
    inside = _PACKAGE / kind
    return inside if inside.is_dir() else _PACKAGE.parents[1] / kind


def names(kind: str) -> list[str]:
    """Their names, without `.yaml`."""
    return sorted(file.stem for file in folder(kind).glob("*.yaml"))


def path_of(kind: str, given: str) -> str:
    """The path of a file: as it was given if that exists; of one that is shipped, by its name
    (`quickstart`) or by where it lies in a clone (`configs/quickstart.yaml`).
    """
    if os.path.exists(given):  # a config may be given in full, too long for a path
        return given
    name = given.removeprefix(f"{kind}/").removesuffix(".yaml")
    found = folder(kind) / f"{name}.yaml"
    return str(found) if name in names(kind) else given


def with_paths(args: Sequence[str]) -> list[str]:
    """A command's arguments, with the paths of the shipped configs that `--config` names."""
    return [*_with_paths(args)]


def _with_paths(args: Sequence[str]) -> Iterator[str]:
    before = ""
    for each in args:
        option, equals, value = each.partition("=")
        if before == "--config":
            yield path_of("configs", each)
        elif option == "--config" and equals:
            yield f"--config={path_of('configs', value)}"
        else:
            yield each
        before = each


def what(file: Path) -> str:
    """What a file's opening comment begins with."""
    lines = []
    for line in file.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    first = re.split(r"(?<!\bal)[.?] |[:;] ", " ".join(lines), maxsplit=1)[0]
    return textwrap.shorten(first, 110, placeholder=" …")
