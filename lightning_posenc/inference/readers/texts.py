"""Texts as token ids."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.text.tokenised import Tokens, rectangle
from lightning_posenc.data.text.vocabulary import Vocabulary
from lightning_posenc.inference.readers.base import InputReader, say_cut, unknown_targets

SHOWN = 40  # characters of a text that an error names
HALF = re.compile(r"[\ud800-\udfff]")  # a surrogate, which no bytes stand for


class TextReader(InputReader):
    """Reads texts by a vocabulary.

    Args:
        vocabulary: That of training.
        trained: Tokens that texts were cut to in training.
    """

    takes = "a text"
    example = '"…"'

    def __init__(self, vocabulary: Vocabulary, trained: int) -> None:
        self.vocabulary = vocabulary
        self.trained = trained

    def is_one(self, given: Any) -> bool:
        return isinstance(given, str)

    def batch(self, inputs: Sequence[Any], length: int | None) -> Batch:
        ids = [self.ids(text) for text in inputs]
        sizes = [len(each) for each in ids]
        length = self.trained if length is None else length
        say_cut(sizes, length)
        tokens = Tokens(np.concatenate(ids), np.array(sizes, dtype=np.int64))
        rows, lengths = rectangle(tokens, tokens.starts, np.arange(len(ids)), length)
        return Batch(
            torch.from_numpy(rows),
            unknown_targets(len(ids)),
            lengths=torch.from_numpy(lengths).clamp(min=1),  # an empty text is one token 0
        )

    def ids(self, text: Any) -> Any:
        """(n,) int32 ids of a text.

        Raises:
            ValueError: If it is none, or holds what the vocabulary lacks.
        """
        if not isinstance(text, str):
            raise ValueError(f"{type(text).__name__} is no text: give a str, or a list of them")
        try:
            if halves := HALF.search(text):
                raise ValueError(f"holds {halves[0]!a}, half a character: decode it as UTF-8")
            return self.vocabulary.encode(text)
        except ValueError as error:
            shown = text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
            raise ValueError(f"text {shown!r}: {error}") from error

    def size(self, given: Any) -> int:
        return len(given) if isinstance(given, str) else 0
