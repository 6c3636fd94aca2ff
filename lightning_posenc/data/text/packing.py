"""Documents laid end to end and cut into blocks.

Shapes: B blocks of T tokens.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.fixed import FixedDataset
from lightning_posenc.data.meaning import digest
from lightning_posenc.data.text.tokenised import Tokens
from lightning_posenc.positions import PerDocument, Sequences
from lightning_posenc.tasks import IGNORE


class Packed(NamedTuple):
    """Token ids of all documents, one after the other, and where each of them starts."""

    tokens: NDArray[np.int32]
    starts: NDArray[np.int64]


def pack(tokens: Tokens) -> Packed:
    """Documents laid end to end; those without tokens leave no trace."""
    sizes = tokens.sizes
    starts = np.cumsum(sizes) - sizes
    return Packed(tokens.ids, starts[sizes > 0])


class Blocks(FixedDataset):
    """Blocks of T tokens with the T tokens that follow each: block i holds tokens i*T .. i*T+T.

    A tail shorter than that is dropped, so there are floor((n - 1) / T) blocks.

    Args:
        tokens: (n,) integer, all documents one after the other, with nothing between them.
        starts: (D,) int64, where each document starts, ascending from 0.
        length: T.
        separate_documents: whether batches carry `documents`, and do not score the step from one
            document to the next.
        reset_positions: whether batches carry `positions` that restart at every document.
    """

    def __init__(
        self,
        tokens: NDArray[np.integer],
        starts: NDArray[np.int64],
        length: int,
        separate_documents: bool = False,
        reset_positions: bool = False,
    ) -> None:
        self.tokens = tokens
        self.starts = starts
        self.length = length
        self.separate_documents = separate_documents
        self.reset_positions = reset_positions

    def __len__(self) -> int:
        return max(0, (len(self.tokens) - 1) // self.length)

    def __getitems__(self, indices: list[int]) -> Batch:
        numbers = np.array(indices, dtype=np.int64)
        rows, documents = self.blocks(numbers)
        batch = next_token_batch(rows, documents, self.separate_documents, self.reset_positions)
        return batch._replace(numbers=torch.from_numpy(numbers))

    def content(self) -> str:
        return digest(self.tokens, self.starts)

    def blocks(
        self, indices: NDArray[np.int64]
    ) -> tuple[NDArray[np.integer], NDArray[np.int64] | None]:
        """Tokens of blocks (B,) and the one that follows each, and the number of their documents.

        Returns:
            (B, T + 1) twice. Documents are numbered from 0 in each block; None if no option of
            the blocks asks for them.
        """
        places = self._places(indices)
        if not (self.separate_documents or self.reset_positions):
            return self.tokens[places], None
        numbers = np.searchsorted(self.starts, places, side="right")
        return self.tokens[places], numbers - numbers[:, :1]

    def _places(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which of all tokens blocks hold, with the one that follows each: (B, T + 1)."""
        return indices[:, None] * self.length + np.arange(self.length + 1)


class AllBlocks(Blocks):
    """Blocks of all tokens: the last one is shorter where T does not divide their number.

    The token after the last one is not known, and not scored.
    """

    def __len__(self) -> int:
        return -(-len(self.tokens) // self.length)

    def __getitems__(self, indices: list[int]) -> Batch:
        batch = super().__getitems__(indices)
        left = len(self.tokens) - torch.tensor(indices) * self.length
        beyond = torch.arange(1, self.length + 1) >= left[:, None]
        batch = batch._replace(targets=batch.targets.masked_fill(beyond, IGNORE))
        if bool((left >= self.length).all()):
            return batch
        return batch._replace(lengths=left.clamp(max=self.length))

    def _places(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return super()._places(indices).clip(max=len(self.tokens) - 1)


def next_token_batch(
    rows: NDArray[np.integer],
    documents: NDArray[np.integer] | None,
    separate_documents: bool,
    reset_positions: bool,
) -> Batch:
    """Predict each token of blocks from those before it.

    Args:
        rows: (B, T + 1) token ids.
        documents: (B, T + 1), number of the document of each; None if neither option is set.
        separate_documents: attention stays within a document, and the step to the next document
            is not scored.
        reset_positions: positions count from 0 at the start of a block and of every document.
    """
    ids = torch.from_numpy(rows.astype(np.int64))
    # Copies, so that masking tokens in place would not change the targets.
    tokens, targets = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()
    if documents is None:
        return Batch(tokens, targets)
    numbers = torch.from_numpy(documents.astype(np.int64))
    here = numbers[:, :-1].contiguous()
    positions: Tensor | None = None
    if reset_positions:
        positions = PerDocument()(Sequences(len(here), here.shape[1], here.device, here))
    if not separate_documents:
        return Batch(tokens, targets, positions=positions)
    crosses = numbers[:, 1:] != numbers[:, :-1]
    return Batch(tokens, targets.masked_fill(crosses, IGNORE), documents=here, positions=positions)
