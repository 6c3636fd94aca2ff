"""Where text comes from: what a path means, and its rows for training, validation and test."""

import platform
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_posenc.data.saying import bars_on_terminals, say
from lightning_posenc.data.text.dataset_card import check_card
from lightning_posenc.data.text.files import KINDS, empty, folder, kind_of, one_file
from lightning_posenc.data.text.hub import from_hub, no_counting
from lightning_posenc.data.text.labels import DATES
from lightning_posenc.data.text.reading import readable, whole_cache

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

GIVE = f"give an existing file ({KINDS}), python_docs, or the name of a dataset"
TEXT = ("string", "large_string", "str", "null")  # the last: no row has any
_OF_TEXT = ("text_column", "target_column")  # options that name a column of text
SPLITS_OF_LIBRARIES = {
    "train": ("train",),
    "val": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}


def load_rows(
    path: str,
    subset: str | None,
    columns: Mapping[str, str],
    optional: Collection[str] = (),
    trains: bool = True,
) -> "dict[str, Dataset]":
    """The rows of a source: `train`, and `val` and `test` if it has such splits.

    Args:
        path: `python_docs`, a local file or folder, or the name of a dataset on the Hub.
        subset: which of a Hub dataset's subsets, or None.
        columns: the columns to keep, each under the name of the option that chose it.
        optional: which of these options may name a column that is not there.
        trains: whether there must be a split named train.

    Raises:
        FileNotFoundError: if the path is that of a file that does not exist.
        ValueError: if the source cannot be read, is empty, or lacks a column.
    """
    if path == "python_docs":
        from datasets import Dataset

        # The text depends on the Python that runs; the cache is keyed on the arguments.
        with whole_cache(path):
            docs = Dataset.from_generator(_python_docs, gen_kwargs={"version": _python_version()})
        return _chosen(path, {"train": docs}, columns, optional, trains)
    # A plain text file is one document, line breaks included.
    found = _load(path, subset, columns, {"sample_by": "document"}, streaming=False)
    return _chosen(path, found, columns, optional, trains)


def stream_rows(
    path: str, subset: str | None, columns: Mapping[str, str], trains: bool = True
) -> "dict[str, IterableDataset]":
    """Like `load_rows`, but read as they are asked for; each line of a .txt file is a row.

    Raises:
        FileNotFoundError: if the path is that of a file that does not exist.
        ValueError: if the source cannot be read, is empty, or lacks a column.
    """
    if path == "python_docs":
        raise ValueError("data.path=python_docs is small: leave data.streaming out, or give a file")
    found = _load(path, subset, columns, {"keep_linebreaks": True}, streaming=True)
    return _chosen(path, found, columns, (), trains)


def stamp(path: str) -> list[tuple[str, int, int]]:
    """What tells the present state of a local source from any other: names, sizes and times.

    Raises:
        ValueError: if the source is not local.
    """
    root = Path(path).expanduser()
    files = [root] if root.is_file() else sorted(f for f in root.rglob("*") if f.is_file())
    if not files:
        raise ValueError(
            f"data.path={path} is on the Hub: to train a vocabulary with data.streaming give "
            "local files, or choose bytes or the JSON file of a tokenizer"
        )
    return [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files]


def _load(
    path: str,
    subset: str | None,
    columns: Mapping[str, str],
    plain: Mapping[str, Any],
    streaming: bool,
) -> Mapping[str, Any]:
    """All splits of a source; `plain` are the options of .txt files."""
    file = Path(path).expanduser()
    if file.is_file() or file.is_dir():
        if file.is_dir():
            check_card(path, file)
        found = (one_file if file.is_file() else folder)(path, file, columns)
        if found is None:
            return _load_local(path, streaming, path=str(file))
        options = plain if found.kind == "text" else found.options
        return _load_local(path, streaming, path=found.kind, data_files=found.patterns(), **options)
    looks_like_file = kind_of(file) or file.is_absolute() or path[0] in ".~"
    if looks_like_file or path.count("/") > 1:
        raise FileNotFoundError(f"data.path={path} does not exist: {GIVE} on the Hub")
    return from_hub(path, subset, **({"streaming": True} if streaming else {}))


def _load_local(source: str, streaming: bool, /, **arguments: Any) -> Mapping[str, Any]:
    """Load local files, anew if what was cached of them is broken."""
    from datasets import DownloadMode, load_dataset

    with readable(source), no_counting(), bars_on_terminals():
        try:
            return load_dataset(streaming=streaming, **arguments)
        except Exception:
            if streaming:
                raise
            # The file or what was cached of it: the library's errors do not tell.
            loaded = load_dataset(download_mode=DownloadMode.FORCE_REDOWNLOAD, **arguments)
    say(f"data.path={source}: what was cached of it was broken, and has been made anew")
    return loaded


def by_our_names(splits: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `train`, `val` and `test` that a library's splits hold, whatever it calls them."""
    return {
        ours: next(splits[name] for name in names if name in splits)
        for ours, names in SPLITS_OF_LIBRARIES.items()
        if any(name in splits for name in names)
    }


def _chosen(
    path: str,
    splits: Mapping[str, Any],
    columns: Mapping[str, str],
    optional: Collection[str],
    trains: bool,
) -> dict[str, Any]:
    found = by_our_names(splits)
    if not found or (trains and "train" not in found):
        raise ValueError(f"data.path={path} has no split named train, only {', '.join(splits)}")
    for name, rows in found.items():
        if any(
            "." in column and column not in (rows.features or ()) for column in columns.values()
        ):
            rows = found[name] = rows.flatten()  # columns within others, as `translation.en`
        present = _columns(path, rows)
        if not present:
            raise empty(path)
        for option, column in columns.items():
            if column not in present and option not in optional:
                raise ValueError(
                    f"data.path={path} has no column {column!r}: set data.{option} to one of "
                    f"{', '.join(present)}"
                )
            if option in _OF_TEXT and column in present and present[column] not in TEXT:
                held = str(present[column])
                held = DATES if held.startswith(("timestamp", "date")) else held
                raise ValueError(
                    f"data.path={path}: column {column!r} holds {held}: "
                    f"set data.{option} to one that holds text"
                )
        found[name] = rows.select_columns([c for c in columns.values() if c in present])
    return found


def _columns(path: str, rows: "Dataset | IterableDataset") -> dict[str, str]:
    """Name of each column and of what it holds."""
    if rows.features is not None:
        return {name: getattr(f, "dtype", str(f)) for name, f in rows.features.items()}
    with readable(path):  # a stream says nothing before its first row is read
        first: dict[str, Any] = next(iter(islice(rows, 1)), {})
    return {name: "null" if v is None else type(v).__name__ for name, v in first.items()}


def _python_version() -> str:
    return platform.python_version()


def _python_docs(version: str) -> Iterator[dict[str, str]]:
    """The language reference that ships with Python, a topic a document."""
    from pydoc_data.topics import topics

    for name in sorted(topics):
        yield {"text": topics[name]}
