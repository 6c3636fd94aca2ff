"""The lessons: files of Python in cells, executed and shown as pages.

A lesson is written once, docs/tutorial/N_name.py: `# %% [markdown]` and `# %%` begin its cells.
"""

import base64
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jupytext
from cache import ROOT, Contents, kept

FOLDER = ROOT / "docs" / "tutorial"
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
            found |= kept(f"lessons/{path.stem}", [path], partial(_run, path))
        else:
            found |= dict(_shown(path, jupytext.read(path)))
    return found


def _run(path: Path) -> Contents:
    """Run all cells of a lesson; a claim that does not hold is an assertion that fails."""
    from nbclient import NotebookClient
    from traitlets.config import Config

    notebook = jupytext.read(path)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    print(f"lesson {path.name} …", end=" ", file=sys.stderr, flush=True)
    start = time.monotonic()
    NotebookClient(
        notebook,
        timeout=SECONDS,
        resources={"metadata": {"path": str(ROOT)}},
        config=Config({"KernelManager": {"transport": "ipc"}}),  # no port, which others could read
    ).execute()
    print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)
    return dict(_shown(path, notebook))


def _shown(path: Path, notebook: Any) -> Iterator[tuple[str, str | bytes]]:
    """A notebook's text, code and outputs as Markdown, pictures apart."""
    parts = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for nth, output in enumerate(cell.get("outputs", ())):
            data = output.get("data", {})
            if image := data.get("image/png"):
                name = f"{path.stem}_{number}_{nth}.png"
                yield f"tutorial/{name}", base64.b64decode(image)
                parts.append(f"![Picture of the cell above]({name})")
            elif text := (output.get("text") or data.get("text/plain") or "").rstrip():
                parts.append(f"```text\n{text}\n```")
    parts.append(f"*Made by running `docs/tutorial/{path.name}`. Run it yourself.*")
    yield f"tutorial/{path.stem}.md", "\n\n".join(parts) + "\n"
