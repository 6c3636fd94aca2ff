"""Sentences as the words that bear tags."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.text.tagging import UNKNOWN, TaggingData
from lightning_posenc.inference.readers.base import InputReader, say_cut, unknown_targets


class WordsReader(InputReader):
    """Reads sentences as `TaggingData` does.

    Args:
        data: That of training, or as it.
    """

    takes = "a sentence, cut into words at white space, or a list of words within a list"
    example = '"…"'

    def __init__(self, data: TaggingData) -> None:
        self.data = data

    def is_one(self, given: Any) -> bool:
        return isinstance(given, str)

    def batch(self, inputs: Sequence[Any], length: int | None) -> Batch:
        ids = [self.data.tokens_of(words_of(each))[0] or [UNKNOWN] for each in inputs]
        length = self.data.train_length if length is None else length
        say_cut([len(each) for each in ids], length, "sentences")
        rows = [torch.tensor(each[:length]) for each in ids]
        return Batch(
            pad_sequence(rows, batch_first=True),
            unknown_targets(len(rows)),
            lengths=torch.tensor([len(row) for row in rows]),
        )

    def shown(self, given: Any) -> str:
        return " ".join(words_of(given))

    def size(self, given: Any) -> int:
        return len(given) if hasattr(given, "__len__") else 0


def words_of(sentence: Any) -> list[str]:
    """The words of a sentence.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(sentence, str):
        return sentence.split()
    if isinstance(sentence, list | tuple | np.ndarray):  # pandas has arrays from Parquet
        words = list(sentence)
        if all(isinstance(word, str) for word in words):
            return [str(word) for word in words]
    raise ValueError(
        f"{type(sentence).__name__} is no sentence: give a str, or a list of words within a list"
    )
