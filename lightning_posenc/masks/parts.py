"""Runs of queries, each with the keys that any of them sees: what is left to compute.

Shapes: T queries, S keys, N runs of queries, P pairs of a run and a block of keys that it reaches.
"""

import torch
from torch import Tensor

from lightning_posenc.masks.base import Mask, Span

ROWS = 64  # queries of a run, and keys of a block
WORTHWHILE = 0.5  # of all pairs; where more are left, all at once takes less time


def seen_keys(mask: Mask, first: int, n_queries: int, keys: Tensor) -> tuple[Tensor, ...]:
    """Which keys the queries see, `ROWS` of them at a time; none at all if most see most.

    Blocks of keys are asked for first, and single keys only of the blocks that are reached: the
    cost is that of the pairs left, and T·S / ROWS² besides.

    Args:
        mask: The predicate.
        first: Index of the first query.
        n_queries: T.
        keys: (S,) indices of the keys, in increasing order, on the CPU.

    Returns:
        For each run of queries where its keys stand among the S, (S',) in increasing order.
    """
    n_keys = len(keys)
    begin, start = torch.arange(0, n_queries, ROWS), torch.arange(0, n_keys, ROWS)
    end = (begin + ROWS).clamp(max=n_queries)
    runs = Span((first + begin)[:, None], (first + end - 1)[:, None])
    blocks = Span(keys[start], keys[(start + ROWS).clamp(max=n_keys) - 1])
    reached = mask.reaches(runs, blocks).expand(len(begin), len(start))
    run, block = reached.nonzero(as_tuple=True)
    near = block[:, None] * ROWS + torch.arange(ROWS)  # (P, ROWS)
    one = keys[near.clamp(max=n_keys - 1)]
    seen = mask.reaches(Span(runs.low[run], runs.high[run]), Span(one, one)) & (near < n_keys)
    if seen.sum() * ROWS > WORTHWHILE * n_queries * n_keys:
        return ()
    sizes = torch.zeros_like(begin).index_add(0, run, seen.sum(dim=1))
    return near[seen].split(sizes.tolist())
