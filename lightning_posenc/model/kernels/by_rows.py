"""Attention for a few queries at a time, in memory that grows with S and not with T · S.

Shapes: B sequences, H heads, T queries, t of them at a time, S keys, K channels of a head.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lightning_posenc.model.kernels.operands import Operands, attention_weights
from lightning_posenc.positions.recording import is_recorded

ROWS = 256  # queries at a time


@torch.compiler.disable
def by_rows(
    part: Callable[[slice], Tensor], n_queries: int, draws: bool = False, size: int | None = None
) -> Tensor:
    """What `part` gives (B, H, t, K) for a few queries at a time: (B, H, T, K).

    It is called once more for each in the backward pass.

    Args:
        part: Is called with a slice of the queries.
        n_queries: T.
        draws: Whether it draws random numbers, which must then be the same in both passes.
        size: t, queries at a time, at least 1; None for 256.
    """
    again = partial(checkpoint, part, use_reentrant=False, preserve_rng_state=draws)
    run = again if torch.is_grad_enabled() else part
    size = ROWS if size is None else size
    starts = range(0, n_queries, size)
    return torch.cat([run(slice(start, min(start + size, n_queries))) for start in starts], dim=2)


def read_weights(operands: Operands, read: Callable[[Tensor, slice], Tensor]) -> Tensor:
    """Call `read` with the weights (B, H, t, S') of t queries at a time and with their slice.

    The weights are those of the first S' keys, beyond which these queries see nothing; they are
    computed once more in the backward pass. A rescore, which is of all queries, gives all at once.

    Returns:
        (B, H, T, K) of what `read` gave for each slice, (B, H, t, K).
    """
    n_queries = operands.q.shape[2]
    if operands.rescore is not None or n_queries <= ROWS or is_recorded():
        return read(attention_weights(operands), slice(0, n_queries))

    def part(rows: slice) -> Tensor:
        return read(attention_weights(operands.rows(rows)), rows)

    return by_rows(part, n_queries)
