"""Where text comes from: what a path means, and its documents for training and validation."""

import platform
from collections.abc import Iterator
from pathlib import Path

from datasets import Dataset, DatasetDict, load_dataset

LOADERS = {
    ".txt": "text",
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".csv": "csv",
}


def load_documents(path: str, subset: str | None, column: str) -> tuple[Dataset, Dataset | None]:
    """The documents of a source, one a row, for training and, if it has some, for validation.

    Args:
        path: `python_docs`, a local file or folder, or the name of a dataset on the Hub.
        subset: which of a Hub dataset's subsets, or None.
        column: which column holds the text.

    Raises:
        FileNotFoundError: if the path is that of a file that does not exist.
        ValueError: if the source cannot be read or lacks the column.
    """
    splits = _load(path, subset)
    if "train" not in splits:
        raise ValueError(f"data.path={path} has no split named train, only {', '.join(splits)}")
    train = splits["train"]
    val = next((splits[name] for name in ("validation", "valid", "val") if name in splits), None)
    if column not in train.column_names:
        raise ValueError(
            f"data.path={path} has no column {column!r}: set data.text_column to one of "
            f"{', '.join(train.column_names)}"
        )
    return train.select_columns(column), None if val is None else val.select_columns(column)


def _load(path: str, subset: str | None) -> DatasetDict:
    if path == "python_docs":
        # The text depends on the Python that runs; the cache is keyed on the arguments.
        docs = Dataset.from_generator(_python_docs, gen_kwargs={"version": _python_version()})
        return DatasetDict(train=docs)
    file = Path(path).expanduser()
    if file.is_file():
        if file.suffix not in LOADERS:
            raise ValueError(
                f"data.path={path} is of no known kind: give one of {', '.join(LOADERS)}"
            )
        # A plain text file is one document, line breaks included.
        options = {"sample_by": "document"} if file.suffix == ".txt" else {}
        return _read(path, LOADERS[file.suffix], data_files=str(file), **options)
    if file.is_dir():
        return _read(path, str(file))
    looks_like_file = file.suffix in LOADERS or file.is_absolute() or path[0] in ".~"
    if looks_like_file or path.count("/") > 1:
        raise FileNotFoundError(
            f"data.path={path} does not exist: give an existing file "
            f"({', '.join(LOADERS)}), python_docs, or the name of a dataset on the Hub"
        )
    return _read(path, path, name=subset)


def _read(path: str, *args: str, **kwargs: str | None) -> DatasetDict:
    try:
        return load_dataset(*args, **kwargs)
    except Exception as error:  # the library's errors differ by kind of source and of failure
        reason = (str(error.__cause__ or error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"data.path={path} could not be loaded ({reason}): give a readable file "
            f"({', '.join(LOADERS)}), python_docs, or, with a network, a dataset on the Hub"
        ) from error


def _python_version() -> str:
    return platform.python_version()


def _python_docs(version: str) -> Iterator[dict[str, str]]:
    """The language reference that ships with Python, a topic a document."""
    from pydoc_data.topics import topics

    for name in sorted(topics):
        yield {"text": topics[name]}
