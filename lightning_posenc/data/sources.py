"""Where text comes from: what a path means, and its rows for training, validation and test."""

import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_posenc.data.dataset_card import check_card

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

LOADERS = {
    ".txt": "text",
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".csv": "csv",
}
GIVE = f"give an existing file ({', '.join(LOADERS)}), python_docs, or the name of a dataset"
TEXT = ("string", "large_string", "str", "null")  # the last: no row has any
_SPLITS = {
    "train": ("train",),
    "val": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}


def load_rows(path: str, subset: str | None, columns: Mapping[str, str]) -> "dict[str, Dataset]":
    """The rows of a source: `train`, and `val` and `test` if it has such splits.

    Args:
        path: `python_docs`, a local file or folder, or the name of a dataset on the Hub.
        subset: which of a Hub dataset's subsets, or None.
        columns: the columns to keep, each under the name of the option that chose it.

    Raises:
        FileNotFoundError: if the path is that of a file that does not exist.
        ValueError: if the source cannot be read, is empty, or lacks a column.
    """
    if path == "python_docs":
        from datasets import Dataset

        # The text depends on the Python that runs; the cache is keyed on the arguments.
        docs = Dataset.from_generator(_python_docs, gen_kwargs={"version": _python_version()})
        return _chosen(path, {"train": docs}, columns)
    file = Path(path).expanduser()
    # A plain text file is one document, line breaks included.
    options = {"sample_by": "document"} if _is_plain(file) else {}
    return _chosen(path, _load(path, subset, **options), columns)


def stream_rows(
    path: str, subset: str | None, columns: Mapping[str, str]
) -> "dict[str, IterableDataset]":
    """Like `load_rows`, but read as they are asked for; each line of a .txt file is a row.

    Raises:
        FileNotFoundError: if the path is that of a file that does not exist.
        ValueError: if the source cannot be read, is empty, or lacks a column.
    """
    if path == "python_docs":
        raise ValueError("data.path=python_docs is small: leave data.streaming out, or give a file")
    file = Path(path).expanduser()
    options = {"keep_linebreaks": True} if _is_plain(file) else {}
    return _chosen(path, _load(path, subset, streaming=True, **options), columns)


@contextmanager
def readable(path: str) -> Iterator[None]:
    """Turn whatever a library says of an unreadable source into one line.

    Raises:
        ValueError: for any other exception within.
    """
    try:
        yield
    except Exception as error:  # the library's errors differ by kind of source and of failure
        told = error if isinstance(error, UnicodeError) else error.__cause__ or error
        reason = (str(told).strip() or type(told).__name__).splitlines()[0]
        if isinstance(told, UnicodeError) or "UTF8" in reason or "UTF-8" in reason:
            raise _not_utf8(path, reason) from error
        raise ValueError(
            f"data.path={path} could not be loaded ({reason}): give a readable file "
            f"({', '.join(LOADERS)}), python_docs, or the name of a dataset on the Hub"
        ) from error


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


def _is_plain(source: Path) -> bool:
    """Whether this is a .txt file, or a folder of them."""
    if source.is_dir():
        found = {file.suffix for file in source.rglob("*") if file.suffix in LOADERS}
        return found == {".txt"}
    return source.is_file() and source.suffix == ".txt"


@contextmanager
def decodable(path: str) -> Iterator[None]:
    """Turn the error of text that is not UTF-8 into one line; a table tells when it is read.

    Raises:
        ValueError: for a UnicodeError within.
    """
    try:
        yield
    except UnicodeError as error:
        raise _not_utf8(path, str(error)) from error


def _not_utf8(path: str, reason: str) -> ValueError:
    return ValueError(
        f"data.path={path} is not UTF-8 text ({reason}): "
        "convert it (iconv -t UTF-8), or give a text file if it is a binary one"
    )


def _load(path: str, subset: str | None, **options: Any) -> Mapping[str, Any]:
    from datasets import load_dataset

    file = Path(path).expanduser()
    if file.is_file():
        if file.suffix not in LOADERS:
            raise ValueError(
                f"data.path={path} is of no known kind: give one of {', '.join(LOADERS)}"
            )
        if not file.stat().st_size:
            raise empty(path)
        with readable(path):
            return load_dataset(LOADERS[file.suffix], data_files=str(file), **options)
    if file.is_dir():
        check_card(path, file)
        with readable(path):
            return load_dataset(str(file), **options)
    looks_like_file = file.suffix in LOADERS or file.is_absolute() or path[0] in ".~"
    if looks_like_file or path.count("/") > 1:
        raise FileNotFoundError(f"data.path={path} does not exist: {GIVE} on the Hub")
    return _from_hub(path, subset, **options)


def _from_hub(path: str, subset: str | None, **options: Any) -> Mapping[str, Any]:
    """A dataset of the Hub, or its copy in the cache where the Hub cannot be asked."""
    import datasets

    set_offline = datasets.config.HF_HUB_OFFLINE
    why = "HF_HUB_OFFLINE is set" if set_offline else _unreachable()
    # Without a network the library tries six times over 23 s, which no setting shortens; offline
    # it goes to its cache at once.
    datasets.config.HF_HUB_OFFLINE = bool(why)
    try:
        if not why:
            with readable(path):
                return datasets.load_dataset(path, name=subset, **options)
        try:
            return datasets.load_dataset(path, name=subset, **options)
        except Exception as error:
            do = "unset HF_HUB_OFFLINE" if set_offline else "connect"
            raise ValueError(
                f"data.path={path} is no file here, and as a dataset on the Hub it cannot be "
                f"fetched ({why}) and is not in the cache {datasets.config.HF_DATASETS_CACHE}: "
                f"{do} to download it once, or give a local file or python_docs"
            ) from error
    finally:
        datasets.config.HF_HUB_OFFLINE = set_offline


def _unreachable() -> str | None:
    """Why the Hub cannot be reached, or None if it can."""
    import datasets
    from huggingface_hub import get_session

    try:
        get_session().head(datasets.config.HF_ENDPOINT, timeout=10)
    except Exception as error:  # of whichever HTTP library `huggingface_hub` uses
        return f"no network: {str(error).strip() or type(error).__name__}"
    return None


def _chosen(path: str, splits: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    found = {
        ours: next(splits[name] for name in names if name in splits)
        for ours, names in _SPLITS.items()
        if any(name in splits for name in names)
    }
    if "train" not in found:
        raise ValueError(f"data.path={path} has no split named train, only {', '.join(splits)}")
    for rows in found.values():
        present = _columns(path, rows)
        if not present:
            raise empty(path)
        for option, column in columns.items():
            if column not in present:
                raise ValueError(
                    f"data.path={path} has no column {column!r}: set data.{option} to one of "
                    f"{', '.join(present)}"
                )
            if option == "text_column" and present[column] not in TEXT:
                raise ValueError(
                    f"data.path={path}: column {column!r} holds {present[column]}: "
                    f"set data.{option} to one that holds text"
                )
    return {ours: rows.select_columns(list(columns.values())) for ours, rows in found.items()}


def _columns(path: str, rows: "Dataset | IterableDataset") -> dict[str, str]:
    """Name of each column and of what it holds."""
    if rows.features is not None:
        return {name: getattr(f, "dtype", str(f)) for name, f in rows.features.items()}
    with readable(path):  # a stream says nothing before its first row is read
        first: dict[str, Any] = next(iter(islice(rows, 1)), {})
    return {name: "null" if v is None else type(v).__name__ for name, v in first.items()}


def empty(path: str) -> ValueError:
    """The error of a source without text."""
    return ValueError(f"data.path={path} is empty: give a source with text in it")


def _python_version() -> str:
    return platform.python_version()


def _python_docs(version: str) -> Iterator[dict[str, str]]:
    """The language reference that ships with Python, a topic a document."""
    from pydoc_data.topics import topics

    for name in sorted(topics):
        yield {"text": topics[name]}
