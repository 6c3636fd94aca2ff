"""Texts to token ids, once: the `datasets` library keeps the result where it caches."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_posenc.data.saying import bars_on_terminals
from lightning_posenc.data.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from datasets import Dataset, Features

Rows = dict[str, list[Any]]


class Tokens(NamedTuple):
    """Token ids of N texts, one after the other.

    Args:
        ids: (n,) int32.
        sizes: (N,) int64, tokens in each text; 0 for an empty one.
    """

    ids: NDArray[np.int32]
    sizes: NDArray[np.int64]

    @property
    def starts(self) -> NDArray[np.int64]:
        """(N,) where each text begins; to be asked for once."""
        return np.cumsum(self.sizes) - self.sizes


def tokenised(texts: "Dataset", column: str, vocabulary: Vocabulary) -> "Dataset":
    """The ids of each text, in the column `ids` of a cached table."""
    from datasets import Features, List, Value

    options = {"column": column, "vocabulary": vocabulary}
    return mapped(texts, encode, Features(ids=List(Value("int32"))), **options)


def laid_out(rows: "Dataset") -> Tokens:
    """All ids of `tokenised` in one array: a view of the memory-mapped cache if it has one chunk.

    Args:
        rows: a table with the column `ids`, without a selection of rows.
    """
    lists = [c for c in rows.data.column("ids").chunks if len(c)]
    if not lists:
        return nothing(0)
    # `flatten` respects a slice's offset; `values` would not.
    parts = [chunk.flatten().to_numpy() for chunk in lists]
    sizes = np.concatenate([np.diff(chunk.offsets.to_numpy()) for chunk in lists])
    return Tokens(parts[0] if len(parts) == 1 else np.concatenate(parts), sizes.astype(np.int64))


def nothing(n_texts: int) -> Tokens:
    """Texts without a token, as those that are not known yet."""
    return Tokens(np.zeros(0, np.int32), np.zeros(n_texts, np.int64))


def rectangle(
    tokens: Tokens,
    starts: NDArray[np.int64],
    rows: NDArray[np.int64],
    length: int,
    fill: int = 0,
    spare: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Some texts side by side, as wide as the longest of them, and how many tokens each has.

    Args:
        tokens: ids of all texts.
        starts: where each text begins, (N,); `tokens.starts`, kept.
        rows: which of them, (B,).
        length: of a longer text so many tokens are kept, the first.
        fill: what stands behind the others.
        spare: places more than the longest text needs.
    """
    sizes = tokens.sizes[rows].clip(max=length)
    filled = np.full((len(rows), max(1, sizes.max(initial=0) + spare)), fill, dtype=np.int64)
    for row, start, size in zip(filled, starts[rows], sizes, strict=True):
        row[:size] = tokens.ids[start : start + size]
    return filled, sizes


def mapped(
    texts: "Dataset", function: Callable[..., Rows], features: "Features", **kwargs: Any
) -> "Dataset":
    """Apply a function of batches of rows; the cached result is keyed on all arguments.

    Args:
        texts: the rows.
        function: of a module, not a lambda or method, so that its hash is the same in every run.
        features: columns of the result.
        kwargs: further arguments of the function.
    """
    from pyarrow import ArrowException

    options: dict[str, Any] = {
        "batched": True,
        "remove_columns": texts.column_names,
        "features": features,
        "fn_kwargs": kwargs,
    }
    with bars_on_terminals():
        try:
            return texts.map(function, **options)
        except (OSError, ArrowException):  # what was cached is broken; or else it is said once more
            return texts.map(function, load_from_cache_file=False, **options)


def encode(rows: Rows, column: str, vocabulary: Vocabulary) -> Rows:
    """Token ids of each text; a missing text is an empty one."""
    return {"ids": [vocabulary.encode(text or "") for text in rows[column]]}


def piece(rows: Rows, column: str, start: int, end: int | None) -> Rows:
    """Characters start..end-1 of each text."""
    return {column: [(text or "")[start:end] for text in rows[column]]}


def characters(rows: Rows, column: str) -> Rows:
    """All characters that occur in these rows, in one string."""
    return {"text": ["".join(sorted(set().union(*(text or "" for text in rows[column]))))]}
