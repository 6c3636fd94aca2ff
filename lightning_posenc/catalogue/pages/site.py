"""All generated pages: what the site is built of besides docs/*.md.

`python -m lightning_posenc.catalogue.pages.site OUT` writes them into a folder.
"""

import argparse
import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lightning_posenc.catalogue import described, described_mixers
from lightning_posenc.catalogue.discovery import OURS, classes
from lightning_posenc.catalogue.docstrings import summary
from lightning_posenc.catalogue.listing import markdown_table
from lightning_posenc.catalogue.pages.encoding_page import DIMS, encoding_page
from lightning_posenc.catalogue.pages.markdown import plain
from lightning_posenc.catalogue.pages.other_pages import (
    mixer_page,
    sampler_page,
    scaling_page,
    task_page,
)
from lightning_posenc.catalogue.pages.quantity_page import quantity_page, slug
from lightning_posenc.catalogue.pages.recorded import WrittenDown, read
from lightning_posenc.diagnostics.quantities import QUANTITIES
from lightning_posenc.dims import Dims
from lightning_posenc.model import Mixer
from lightning_posenc.positional import PositionalEncoding
from lightning_posenc.positional.rotary.scaling import Scaling
from lightning_posenc.positions import Positions
from lightning_posenc.tasks import Task

KINDS: Mapping[str, type] = {
    "encodings": PositionalEncoding,
    "samplers": Positions,
    "scalings": Scaling,
    "mixers": Mixer,
    "tasks": Task,
}
OPENING = {
    "encodings": "How a model learns where its tokens are. Facts in a table: "
    "[the catalogue](../catalogue.md).",
    "samplers": "A sampler gives every token its position. It goes with every encoding.",
    "scalings": "A scaling makes a trained RoPE read longer sequences.",
    "mixers": "A mixer lets tokens exchange what they know. Costs and pairs in tables: "
    "[mixers](../mixers.md).",
    "tasks": "A task makes sequences whose answers need order.",
    "quantities": "A quantity is a number that a run logs. All in one table: "
    "[quantities](../quantities.md).",
}


class SiteFile(NamedTuple):
    """A file of the site.

    Args:
        path: Below the site's folder of pages, such as `encodings/RoPE.md`.
        content: Markdown, or a picture.
    """

    path: str
    content: str | bytes


def pages(root: Path) -> Iterator[SiteFile]:
    """Every generated file.

    Args:
        root: Folder of the repository, whose recorded figures are read.
    """
    recorded = read(root)
    found = {name: classes(base) for name, base in KINDS.items()}
    for name, kinds in found.items():
        yield SiteFile(f"{name}/index.md", _index(name, {k: summary(c) for k, c in kinds.items()}))
    entries: dict[str, dict[str, Any]] = {
        "encodings": {each.name: each for each in described.encodings(DIMS)},
        "mixers": {each.name: each for each in described_mixers.mixers(Dims(256, 4, 1))},
    }
    for name, kinds in found.items():
        for title, kind in kinds.items():
            text, picture = _page(name, kind, entries.get(name, {}).get(title), recorded)
            yield SiteFile(f"{name}/{title}.md", text)
            if picture is not None:
                yield SiteFile(f"{name}/{title}.png", picture)
    titles = {slug(row): row.title for row in QUANTITIES.values()}
    yield SiteFile("quantities/index.md", _index("quantities", titles))
    for row in QUANTITIES.values():
        yield SiteFile(f"quantities/{slug(row)}.md", quantity_page(row))
    yield from reference()


def _page(name: str, kind: Any, entry: Any, recorded: WrittenDown) -> tuple[str, bytes | None]:
    if name == "encodings":
        return encoding_page(kind, entry, recorded)
    if name == "mixers":
        return mixer_page(kind, entry, recorded)
    if name == "scalings":
        return scaling_page(kind, recorded)
    return sampler_page(kind) if name == "samplers" else (task_page(kind), None)


def _index(name: str, sentences: Mapping[str, str]) -> str:
    rows = [[f"[{title}]({title}.md)", plain(said)] for title, said in sentences.items()]
    title = name[:1].upper() + name[1:]
    return f"# {title}\n\n{OPENING[name]}\n\n{markdown_table(('', 'what it is'), rows)}\n"


def reference() -> Iterator[SiteFile]:
    """A page for every package with public names, each name on the page of one package."""
    homes = public_names()
    rows = []
    for package, names in homes.items():
        members = "".join(f"\n        - {name}" for name in names)
        yield SiteFile(
            f"reference/{package}.md",
            f"# {package}\n\n::: {package}\n    options:\n      members:{members}\n",
        )
        said = inspect.getdoc(importlib.import_module(package)) or ""
        name = package.removeprefix(f"{OURS}.")  # short, so that a phone shows the other column
        rows.append([f"[`{name}`]({package}.md)", plain(said.partition("\n")[0])])
    table = markdown_table(("package", "what it is"), rows)
    yield SiteFile(
        "reference/index.md",
        f"# Reference\n\nAll public names, by package of `{OURS}`.\n\n{table}\n",
    )


def public_names() -> dict[str, list[str]]:
    """The classes and functions in `__all__`, by the innermost package that exports them."""
    inner: dict[int, tuple[str, str]] = {}
    found = pkgutil.walk_packages(importlib.import_module(OURS).__path__, f"{OURS}.")
    for package in [OURS, *(info.name for info in found if info.ispkg)]:
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            home = getattr(thing, "__module__", "")
            if callable(thing) and f"{home}.".startswith(f"{package}."):
                inner[id(thing)] = (package, name)
    homes: dict[str, list[str]] = {}
    for package, name in inner.values():
        homes.setdefault(package, []).append(name)
    return {package: sorted(names) for package, names in sorted(homes.items())}


def main() -> None:
    """Write all pages."""
    parser = argparse.ArgumentParser(description="Write the generated pages of the site.")
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    for path, content in pages(Path.cwd()):
        file = out / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)


if __name__ == "__main__":
    main()
