"""A layer's attention, block of queries by block, in memory that grows with S and not with T · S.

Shapes: B sequences, H heads, T queries, t of them at a time, S keys.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from lightning_posenc.checks import kinds_checked, whole
from lightning_posenc.model.kernels import Operands, attention_weights

BLOCK = 64  # queries at a time: at S = 16,384 and 8 heads, 34 MB of float32 for each copy


def row_blocks(operands: Operands, block: int = BLOCK) -> Iterator[slice]:
    """Slices that cover the queries; a single one where a rescore needs all logits at once."""
    whole(row_blocks, "block", block)
    n_queries = operands.shape[2]
    if operands.rescore is not None:
        yield slice(None)
        return
    for start in range(0, n_queries, block):
        yield slice(start, min(start + block, n_queries))


@kinds_checked
@torch.no_grad()
def weights_by_block(operands: Operands, block: int = BLOCK) -> Iterator[tuple[slice, Tensor]]:
    """The weights A of successive queries, in O(block · S) memory.

    Args:
        operands: One layer's attention.
        block: t, queries at a time; with a rescore all come at once.

    Yields:
        The queries, and their float32 (float64 if q is) weights (B, H, t, S). Rows that see no key
        are 0. What is yielded belongs to the caller, who may write into it.
    """
    for rows in row_blocks(operands, block):
        yield rows, attention_weights(operands, rows)
