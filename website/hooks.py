"""What mkdocs is told besides docs/*.md: generated pages, lessons, pages that lie elsewhere.

mkdocs calls the functions by their names.
"""

import os
import re
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: all is small
sys.path.insert(0, str(Path(__file__).parent))

from cache import ROOT
from generated import generated
from lessons import lessons
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from lightning_posenc.catalogue.pages.site import KINDS

ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks/index.md",
    "configs/cluster/README.md": "howto/cluster.md",
    "sweeps/README.md": "sweeps.md",
}
RESULTS = "benchmarks/results"
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])+)\]\(([^)#\s]+)(#[^)\s]*)?\)")
OFF_SITE = re.compile(r"<!-- not on the site -->\n.*?\n\n", re.DOTALL)  # to the paragraph's end
IMAGE = re.compile(r"(!\[[^\]]*\]\()([^)\s]+)(\))")
MATHJAX = "mathjax/static/mathjax/es5/tex-svg.js"  # of django-static-mathjax, which needs no Django
_built: dict[str, str | bytes] = {}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the pages, and put them into the navigation where it names a folder."""
    if not _built:
        _built.update(generated())
        _built.update(_from_elsewhere())
        _built.update(lessons(executed=os.environ.get("LESSONS") != "shown"))
        _built["javascripts/tex-svg.js"] = Path(
            str(distribution("django-static-mathjax").locate_file(MATHJAX))
        ).read_bytes()
    config.nav = [_with_folders(each) for each in config.nav or []]
    return config


def _with_folders(item: Any) -> Any:
    """`Encodings: encodings/` as a list of the pages therein, the index first."""
    if not isinstance(item, dict):
        return item
    ((title, value),) = item.items()
    if isinstance(value, list):
        return {title: [_with_folders(each) for each in value]}
    if not value.endswith("/"):
        return item
    paths = sorted(
        (path for path in _built if path.startswith(value) and path.endswith(".md")),
        key=lambda path: (not path.endswith("index.md"), path.lower()),
    )
    return {title: [path if path.endswith("index.md") else {_title(path): path} for path in paths]}


def _title(path: str) -> str:
    """The page's first heading."""
    text = _built[path]
    assert isinstance(text, str)
    return text.partition("\n")[0].removeprefix("# ")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what was made."""
    for path, content in _built.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to files that the site has elsewhere there; of others only the text stays."""
    here = _home(page.file.src_uri)

    def target(to: str) -> str | None:
        inside = _inside(os.path.normpath(str(PurePosixPath(here).parent / to)))
        if inside is not None and inside.startswith("tutorial/"):
            inside = inside.removesuffix(".py").removesuffix(".md") + ".md"  # a lesson's page
        if inside is None or files.get_file_from_path(inside) is None:
            return None
        return os.path.relpath(inside, str(PurePosixPath(page.file.src_uri).parent))

    def led(link: re.Match[str]) -> str:
        text, to, part = link.groups()
        if "://" in to:
            return link[0]
        found = target(to)
        if found is None:  # of a page of the site's own it is a mistake, which mkdocs tells
            return link[0] if here == f"docs/{page.file.src_uri}" and "../" not in to else text
        return f"[{text}]({found}{part or ''})"

    def drawn(image: re.Match[str]) -> str:
        begin, to, end = image.groups()
        return begin + (target(to) or to) + end

    markdown = IMAGE.sub(drawn, LINK.sub(led, OFF_SITE.sub("", markdown)))
    return _named(markdown) if page.file.src_uri == "catalogue.md" else markdown


def _named(tables: str) -> str:
    """Tables whose names lead to the pages of what they name."""
    homes = {
        PurePosixPath(path).stem: path
        for path in _built
        if path.split("/")[0] in KINDS and path.endswith(".md")
    }

    def led(name: re.Match[str]) -> str:
        return f"[{name[0]}]({homes[name[1]]})" if name[1] in homes else name[0]

    return re.sub(
        r"^\|.*$", lambda row: re.sub(r"`(\w+)`", led, row[0]), tables, flags=re.MULTILINE
    )


def _home(src_uri: str) -> str:
    """Where in the repository a page's text lies."""
    for home, uri in ELSEWHERE.items():
        if uri == src_uri:
            return home
    return f"{RESULTS}/{src_uri.removeprefix('benchmarks/')}" if src_uri.startswith(
        "benchmarks/"
    ) else f"docs/{src_uri}"  # fmt: skip


def _inside(home: str) -> str | None:
    """The other way: where on the site a file of the repository lies; None if nowhere."""
    if home in ELSEWHERE:
        return ELSEWHERE[home]
    if home.startswith(f"{RESULTS}/"):
        return home.replace(RESULTS, "benchmarks", 1)
    return home.removeprefix("docs/") if home.startswith("docs/") else None


def _from_elsewhere() -> Iterator[tuple[str, str | bytes]]:
    for home, uri in ELSEWHERE.items():
        yield uri, (ROOT / home).read_text("utf-8")
    for path in sorted((ROOT / RESULTS).rglob("*")):
        if path.suffix in (".md", ".png"):
            uri = f"benchmarks/{path.relative_to(ROOT / RESULTS).as_posix()}"
            yield uri, path.read_text("utf-8") if path.suffix == ".md" else path.read_bytes()
