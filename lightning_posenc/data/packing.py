"""Documents laid end to end and cut into blocks."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from lightning_posenc.data.batch import Batch
from lightning_posenc.tasks import IGNORE


class Blocks(Dataset[Batch]):
    """Blocks of T tokens with the T tokens that follow each: block i holds tokens i*T .. i*T+T.

    A tail shorter than that is dropped, so there are floor((n - 1) / T) blocks.

    Args:
        tokens: (n,) integer, all documents one after the other, with nothing between them.
        starts: (D,) int64, where each document starts, ascending from 0.
        length: T.
        separate_documents: whether batches carry `documents`, numbered from 0 in each block, and
            do not score the step from one document to the next.
    """

    def __init__(
        self,
        tokens: NDArray[np.integer],
        starts: NDArray[np.int64],
        length: int,
        separate_documents: bool = False,
    ) -> None:
        self.tokens = tokens
        self.starts = starts
        self.length = length
        self.separate_documents = separate_documents

    def __len__(self) -> int:
        return max(0, (len(self.tokens) - 1) // self.length)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> Batch:
        """These blocks, as one batch."""
        firsts = np.asarray(indices, dtype=np.int64)[:, None] * self.length
        places = firsts + np.arange(self.length + 1)
        rows = torch.from_numpy(self.tokens[places].astype(np.int64))
        # Copies, so that masking tokens in place would not change the targets.
        tokens, targets = rows[:, :-1].contiguous(), rows[:, 1:].contiguous()
        if not self.separate_documents:
            return Batch(tokens, targets)
        numbers = np.searchsorted(self.starts, places, side="right")
        documents = torch.from_numpy(numbers - numbers[:, :1])
        crosses = documents[:, 1:] != documents[:, :-1]
        return Batch(
            tokens, targets.masked_fill(crosses, IGNORE), documents=documents[:, :-1].contiguous()
        )
