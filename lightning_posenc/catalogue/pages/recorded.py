"""What benchmarks wrote down of each class, read back from the repository's pages."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

Rows = list[list[str]]


class WrittenDown(NamedTuple):
    """Figures of all classes.

    Args:
        oracles: Rows of case, class, oracle, source and error.
        peers: Rows of class, peer and difference.
        scalings: Rows of class, name in Hugging Face and differences at three factors.
        factors: Those factors.
        half: Rows of class, and of error and aliased positions at two lengths.
        pairs: What became of each encoding (first cell) with each mixer.
        mixers: Their names, in the order of the cells.
        accuracy: Mean accuracy over seeds by encoding, at `lengths`.
        lengths: In tokens.
    """

    oracles: Rows
    peers: Rows
    scalings: Rows
    factors: list[str]
    half: Rows
    pairs: Rows
    mixers: list[str]
    accuracy: dict[str, list[float]]
    lengths: list[int]


def read(root: Path) -> WrittenDown:
    """Read the pages of a repository.

    Args:
        root: Its folder.

    Raises:
        ValueError: If a page has no such table any more.
    """
    errors = tables(root / "docs" / "encodings.md")
    mixers = tables(root / "docs" / "mixers.md")
    lengths = json.loads(
        (root / "benchmarks" / "results" / "length_generalization.json").read_text("utf-8")
    )
    accuracy = {
        name: [sum(column) / len(column) for column in zip(*runs, strict=True)]
        for name, runs in lengths["accuracy"].items()
    }
    scaling, pairs = _table(errors, "in Hugging Face"), _table(mixers, "encoding", 2)
    return WrittenDown(
        _table(errors, "case")[1:],
        _table(errors, "peer")[1:],
        scaling[1:],
        scaling[0][2:],
        _table(errors, "encoding", 1)[1:],
        pairs[1:],
        pairs[0][1:],
        accuracy,
        lengths["lengths"],
    )


def tables(path: Path) -> list[Rows]:
    """Every table of a page of Markdown, its header first."""
    found: list[Rows] = []
    inside = False
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("|"):
            if not inside:
                found.append([])
            cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
            if set(line) - set("|-: "):
                found[-1].append(cells)
        inside = line.startswith("|")
    return found


def _table(found: Sequence[Rows], column: str, least: int = 0) -> Rows:
    """The table that has a column, and at least so many others."""
    for table in found:
        if column in table[0] and len(table[0]) > least:
            return table
    raise ValueError(f"no table with a column {column!r}: has a benchmark changed its page?")


def of_class(rows: Rows, name: str, column: int = 0) -> Rows:
    """Those rows whose cell names a class."""
    return [row for row in rows if row[column].split(" + ")[0] == f"`{name}`"]
