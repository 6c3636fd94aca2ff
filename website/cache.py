"""What took long to make is kept, under a digest of all that it is made of."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache"

Contents = dict[str, str | bytes]


def digest(*others: Path) -> str:
    """Of all code of the package, and of other files."""
    found = hashlib.sha256()
    for file in (*sorted((ROOT / "lightning_posenc").rglob("*.py")), *others):
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
        made = make()
        for path, content in made.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
    return {
        str(file.relative_to(folder).as_posix()): (
            file.read_text("utf-8") if file.suffix == ".md" else file.read_bytes()
        )
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
