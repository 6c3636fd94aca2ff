"""The lessons: files of Python in cells, executed and shown as pages.

A lesson is written once, docs/tutorial/N_name.py: `# %% [markdown]` and `# %%` begin its cells.
"""

import base64
import re
import sys
import textwrap
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jupytext
from cache import ROOT, Contents, kept

FOLDER = ROOT / "docs" / "tutorial"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
COLUMNS = 84  # of an output; a table has more and scrolls
NARROW = 600  # pixels; wider pictures have panels, and scroll on a phone
SECONDS = 600  # for a cell; all lessons together take less


def lessons(executed: bool) -> Contents:
    """All lessons' pages and pictures, by their paths on the site.

    Args:
        executed: Whether their outputs are shown, which executes a lesson unless neither it nor
            the package has changed since.
    """
    found: Contents = {}
    for path in sorted(FOLDER.glob("*.py")):
        if executed:
            found |= kept(f"lessons/{path.stem}", [path], partial(_made, path))
        else:
            found |= dict(_shown(path, jupytext.read(path)))
    return found


def _made(path: Path) -> Contents:
    print(f"lesson {path.name} …", end=" ", file=sys.stderr, flush=True)
    start = time.monotonic()
    notebook = run(path)
    print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)
    return dict(_shown(path, notebook))


def run(path: Path) -> Any:
    """Run all cells of a lesson, in an empty folder.

    Raises:
        CellExecutionError: If a cell raises, as by a claim that does not hold.
    """
    from nbclient import NotebookClient

    notebook = jupytext.read(path)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    with TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=SECONDS,
            resources={"metadata": {"path": folder}},
            extra_arguments=["--IPKernelApp.log_level=40"],  # errors alone
        ).execute()
    return notebook


def _shown(path: Path, notebook: Any) -> Iterator[tuple[str, str | bytes]]:
    """A notebook's text, code and outputs as Markdown, pictures apart."""
    parts = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        said = []
        for nth, output in enumerate(cell.get("outputs", ())):
            if output.get("name") == "stderr":  # progress
                continue
            data = output.get("data", {})
            if image := data.get("image/png"):
                name = f"{path.stem}_{number}_{nth}.png"
                picture = base64.b64decode(image)
                wide = int.from_bytes(picture[16:20]) > NARROW  # as a PNG's head says
                yield f"tutorial/{name}", picture
                parts.append(f"![What the cell draws]({name}){'{ .panels }' if wide else ''}")
            else:
                said.append(output.get("text") or data.get("text/plain") or "")
        if text := COLOUR.sub("", "\n".join(map(str.rstrip, said))).strip("\n"):
            shown = "\n".join(map(_folded, text.splitlines()))
            parts.append(f"```{{.text .said}}\n{shown}\n```")
    parts.append(f"[Take this lesson as a notebook]({path.stem}.ipynb){{ download }}")
    yield f"tutorial/{path.stem}.ipynb", jupytext.writes(jupytext.read(path), "ipynb").encode()
    yield f"tutorial/{path.stem}.md", "\n\n".join(parts) + "\n"


def _folded(line: str) -> str:
    """A long sentence on lines of its own; a row of a table stays, as does what is to be copied."""
    return line if "  " in line else textwrap.fill(line, COLUMNS, break_long_words=False)
