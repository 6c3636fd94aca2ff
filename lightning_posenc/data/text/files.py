"""Local files: of what kind they are, which split each belongs to, and how they are read.

Libraries guess here: that "NA" is no word, that a row longer than the header begins with an index,
that `[1]` in a name is a pattern, that a file whose name holds "test" is the test. Where a guess
changes what is read, it is switched off, or said.
"""

import csv
import glob
import gzip
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

from lightning_posenc.data.saying import say

LOADERS = {
    ".txt": "text",
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".csv": "csv",
    ".tsv": "csv",
}
COMPRESSED = ".gz"
KINDS = f"{', '.join(LOADERS)}, or one of them with {COMPRESSED} behind"
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
PEEKED = 100  # rows that are looked at before a library reads them all
NAMED = 5  # files that a line names


class Found(NamedTuple):
    """Local files that are read together.

    Args:
        kind: which of the library's builders reads them.
        files: those of each split, by the library's name of the split.
        options: of the builder.
    """

    kind: str
    files: dict[str, list[Path]]
    options: dict[str, Any]

    def patterns(self) -> dict[str, list[str]]:
        """The files as the library wants them: every name is a pattern to it."""
        return {
            split: [glob.escape(str(file.absolute())) for file in files]
            for split, files in self.files.items()
        }


def kind_of(file: Path) -> str | None:
    """The suffix that says what a file holds, a key of `LOADERS`; None if it is none of them."""
    suffixes = file.suffixes[-2:]
    if suffixes and suffixes[-1] == COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in LOADERS else None


def one_file(path: str, file: Path, columns: Mapping[str, str]) -> Found:
    """A file, which is all of its source.

    Raises:
        ValueError: if it is of no known kind, empty, or a table with rows of several lengths.
    """
    suffix = kind_of(file)
    if suffix is None:
        raise ValueError(f"data.path={path} is of no known kind: give one of {KINDS}")
    if not file.stat().st_size:
        raise empty(path)
    return _found(path, suffix, {"train": [file]}, columns)


def folder(path: str, root: Path, columns: Mapping[str, str]) -> Found | None:
    """The files of a folder, those of one kind; what is left out, and splits by name, are said.

    A file belongs to the split that a word of its name, or of a folder's on the way to it, names;
    to training if none does.

    Returns:
        The files; None if a dataset card in the folder says what they are.

    Raises:
        ValueError: if there is no file of a known kind.
    """
    card = root / "README.md"
    if card.is_file() and re.search(r"^configs:", card.read_text("utf-8", "replace"), re.MULTILINE):
        return None
    for mark in ("dataset_dict.json", "state.json"):
        if (root / mark).is_file():
            raise ValueError(
                f"data.path={path} was written by save_to_disk: export it with to_parquet, and "
                "give those files"
            )
    all_files = sorted(file for file in root.rglob("*") if file.is_file() and _is_shown(file, root))
    kinds = Counter(suffix for file in all_files if (suffix := kind_of(file)))
    if not kinds:
        raise ValueError(f"data.path={path} holds no file that can be read: give {KINDS}")
    builders: Counter[str] = Counter()
    for suffix, n in kinds.items():
        builders[_group(suffix)] += n
    group = max(builders, key=lambda name: (builders[name], name))
    chosen = [file for file in all_files if (s := kind_of(file)) and _group(s) == group]
    files: dict[str, list[Path]] = {}
    for file in chosen:
        files.setdefault(_split_of(file.relative_to(root)), []).append(file)
    if left := [file for file in all_files if file not in chosen]:
        say(f"data.path={path}: of another kind and not read: {_names(left, root)}")
    if list(files) != ["train"]:
        told = "; ".join(f"{split}: {_names(found, root)}" for split, found in files.items())
        say(f"data.path={path}: by their names, {told}")
    suffix = kind_of(chosen[0])
    assert suffix is not None
    return _found(path, suffix, files, columns)


def holds_tables(source: Path) -> bool:
    """Whether this is a table of text, or a folder of them, whose fields have no type."""
    files = source.rglob("*") if source.is_dir() else [source]
    return any(LOADERS.get(kind_of(file) or "") == "csv" for file in files)


def empty(path: str) -> ValueError:
    """The error of a source without text."""
    return ValueError(f"data.path={path} is empty: give a source with text in it")


def _found(
    path: str, suffix: str, files: dict[str, list[Path]], columns: Mapping[str, str]
) -> Found:
    options: dict[str, Any] = {}
    if LOADERS[suffix] == "csv":
        delimiter = "\t" if suffix == ".tsv" else ","
        # As they are written: "NA" and "null" are words, and a name of digits is a name.
        words = dict.fromkeys(columns.values(), str)
        # Columns apart by tabs are not quoted: a quotation mark is text.
        quoting = csv.QUOTE_NONE if suffix == ".tsv" else csv.QUOTE_MINIMAL
        options = {
            "quoting": quoting,
            "sep": delimiter,
            "keep_default_na": False,
            "converters": words,
        }
        for file in (file for found in files.values() for file in found):
            _check_table(path, file, delimiter, columns.get("text_column"))
    return Found(LOADERS[suffix], files, options)


def _check_table(path: str, file: Path, delimiter: str, text_column: str | None) -> None:
    """Look at the first rows of a table for what the library would guess.

    Raises:
        ValueError: if a row has more fields than the header names, which pandas would take for an
            index, shifting all others; or if the texts are numbers.
    """
    try:
        with opened(file) as lines:
            quoted: Any = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
            reader = csv.reader(lines, delimiter=delimiter, quoting=quoted)
            rows = list(islice(reader, 1 + PEEKED))
    except (UnicodeError, OSError, EOFError, csv.Error):
        return  # the library says what is wrong with it
    rows = [row for row in rows if row]
    for n, row in enumerate(rows[1:]):
        if len(row) > len(rows[0]):
            raise ValueError(
                f"data.path={path}: row {n} of {file.name} (counted from 0) has {len(row)} fields, "
                f"the header {len(rows[0])}: put texts that hold {delimiter!r} into double quotes"
            )
    if text_column is not None and rows and text_column in rows[0]:
        place = rows[0].index(text_column)
        texts = [row[place] for row in rows[1:] if len(row) > place]
        if any(texts) and all(map(_is_number, texts)):
            kind = "int64" if all(map(_is_integer, texts)) else "float64"
            raise ValueError(
                f"data.path={path}: column {text_column!r} holds {kind}: "
                "set data.text_column to one that holds text"
            )


def opened(file: Path) -> IO[str]:
    """A text file, compressed or not, in UTF-8 with or without a mark of byte order."""
    opener: Any = gzip.open if file.suffix == COMPRESSED else open
    return opener(file, "rt", encoding="utf-8-sig", newline="")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_integer(text: str) -> bool:
    return text.strip().lstrip("+-").isdigit()


def _group(suffix: str) -> str:
    """Files of one group are read together."""
    return {".jsonl": ".json"}.get(suffix, suffix)


def _split_of(relative: Path) -> str:
    words = re.split(r"[-._ 0-9/\\]+", str(relative).lower())
    named = (split for word in words for split, names in SPLITS.items() if word in names)
    return next(named, "train")


def _is_shown(file: Path, root: Path) -> bool:
    return not any(part.startswith((".", "__")) for part in file.relative_to(root).parts)


def _names(files: list[Path], root: Path) -> str:
    names: Iterator[str] = (str(file.relative_to(root)) for file in files)
    more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
    return ", ".join(islice(names, NAMED)) + more
