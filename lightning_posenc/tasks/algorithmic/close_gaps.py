"""Rows of different lengths out of a rectangle with gaps."""

import torch
from torch import Tensor


def compact(tokens: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """The kept tokens of each row, moved to its start in their order.

    Args:
        tokens: (B, N) int64.
        keep: (B, N) bool.

    Returns:
        (B, N) int64, padded with 0, and (B,) int64, how many of each row were kept.
    """
    n = tokens.shape[1]
    # What is not kept goes to a column of its own, which is cut off.
    goal = (keep.cumsum(1) - 1).masked_fill_(~keep, n)
    moved = torch.zeros_like(tokens[:, :1]).repeat(1, n + 1).scatter_(1, goal, tokens)
    return moved[:, :n], keep.sum(1)
