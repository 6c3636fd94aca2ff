"""Token ids themselves, as the synthetic tasks have them.

Shapes: B sequences, T tokens.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lightning_posenc.data.batch import Batch
from lightning_posenc.inference.readers.base import InputReader, unknown_targets

LONGEST = 40  # characters of a token that is a number, or that an error names


class TokenReader(InputReader):
    """Reads token ids, or what a task prints in their place, apart by spaces.

    Args:
        vocab_size: Number of ids.
        symbols: How a task prints each; None for its number.
    """

    takes = "token ids, as a list of whole numbers or a text of what the task prints"
    example = '"3 1 2"'

    def __init__(self, vocab_size: int, symbols: Sequence[str] | None = None) -> None:
        self.vocab_size = vocab_size
        self.symbols = symbols

    def is_one(self, given: Any) -> bool:
        if isinstance(given, np.ndarray | Tensor):
            return given.ndim == 1 and getattr(given.dtype, "kind", "i") not in "OTU"
        if isinstance(given, list | tuple | range):
            return bool(given) and all(isinstance(each, int | np.integer) for each in given)
        return isinstance(given, str)

    def batch(self, inputs: Sequence[Any], length: int | None) -> Batch:
        rows = [self.ids(each) for each in inputs]
        if length is not None:
            rows = [row[:length] for row in rows]
        lengths = torch.tensor([len(row) for row in rows])
        return Batch(pad_sequence(rows, batch_first=True), unknown_targets(len(rows)), lengths)

    def ids(self, given: Any) -> Tensor:
        """(T,) int64 ids of an input.

        Raises:
            ValueError: If it is none, or one is beyond what the model knows.
        """
        if isinstance(given, str):
            given = [self._number(word) for word in given.split()]
        try:
            ids = torch.as_tensor(given)
        except (TypeError, ValueError, RuntimeError):
            ids = torch.zeros(0)
        if ids.dim() != 1 or not len(ids) or ids.is_floating_point() or ids.dtype == torch.bool:
            raise ValueError(f"{given!r} are no token ids: give {self.takes}")
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= self.vocab_size:
            raise ValueError(
                f"token {low if low < 0 else high}: the model knows 0 to {self.vocab_size - 1}"
            )
        return ids.long()

    def size(self, given: Any) -> int:
        is_scalar = getattr(given, "ndim", None) == 0
        return 0 if is_scalar or not hasattr(given, "__len__") else len(given)

    def _number(self, word: str) -> int:
        if self.symbols is not None and word in self.symbols:
            return self.symbols.index(word)
        if word.lstrip("-").isdecimal() and len(word) <= LONGEST:
            return int(word)
        known = "" if self.symbols is None else f", or one of {' '.join(self.symbols)}"
        word = word if len(word) <= LONGEST else f"{word[:LONGEST]}…"
        raise ValueError(f"{word!r} is no token: give a number up to {self.vocab_size - 1}{known}")
