"""Which part of a text is trained on, and which is held out."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lightning_posenc.data.text.files import empty
from lightning_posenc.data.text.reading import decodable
from lightning_posenc.data.text.tokenised import mapped, piece

if TYPE_CHECKING:
    from datasets import Dataset


def divided(texts: "Dataset", column: str, val_fraction: float, path: str) -> "dict[str, Dataset]":
    """Texts without a validation split, in two: the last of several, or the end of the only one.

    Args:
        texts: rows.
        column: which column holds the text.
        val_fraction: share of them for validation, between 0 and 1.
        path: where they come from, for errors to name.

    Raises:
        ValueError: if there is no text.
    """
    share, n = 1 - val_fraction, len(texts)
    if n > 1:
        n_train = max(1, int(share * n))
        return {"train": texts.select(range(n_train)), "val": texts.select(range(n_train, n))}
    with decodable(path):
        text = texts[0][column] if n else ""
    if not text:
        raise empty(path)
    cut, features = int(share * len(text)), texts.features
    return {
        "train": mapped(texts, piece, features, start=0, end=cut, column=column),
        "val": mapped(texts, piece, features, start=cut, end=None, column=column),
    }


def read_whole(splits: Mapping[str, Any]) -> Any:
    """The split of which all is read where nothing was trained on."""
    return next(splits[name] for name in ("val", "train", "test") if name in splits)
