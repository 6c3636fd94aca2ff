"""What took long to make is kept, under a digest of all that it is made of."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache"

Contents = dict[str, str | bytes]


def digest(*others: Path) -> str:
    """Of the package, its code and what it keeps recorded, and of other files."""
    found = hashlib.sha256()
    package = (ROOT / "lightning_posenc").rglob("*.*")
    ours = sorted(file for file in package if file.suffix in {".py", ".json"})
    for file in (*ours, *others):
        found.update(file.read_bytes())
    return found.hexdigest()[:16]


def kept(name: str, of: Iterable[Path], make: Callable[[], Contents]) -> Contents:
    """Files by path, made anew only where something that they are made of has changed.

    Args:
        name: Of the folder in .cache that keeps them.
        of: Files that they are made of besides the package's code.
        make: Makes them.
    """
    folder = CACHE / name / digest(*of)
    if not folder.exists():
        _keep(folder, make())
    return {
        str(file.relative_to(folder).as_posix()): (
            file.read_text("utf-8") if file.suffix == ".md" else file.read_bytes()
        )
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def _keep(folder: Path, made: Contents) -> None:
    """Write all, or, where another process was faster, nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    being_written = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
    try:
        for path, content in made.items():
            file = being_written / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(being_written, folder)
    except OSError:
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(being_written, ignore_errors=True)
