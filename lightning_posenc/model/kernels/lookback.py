"""How far back the heads look whose bias falls linearly with distance.

A logit is at most |q| |k| from 0, so that beyond some distance all weights of a query together are
less than what the sum of its weights can hold: the bound by which Lin et al. 2025, "Adaptive
Computation Pruning for the Forgetting Transformer", arXiv:2504.06949, leave pairs out.

Shapes: B sequences, H heads, T queries and keys, K channels of a head.
"""

import math
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

LEFT_OUT = 2**-4
"""What the weights left out may add up to, in units of a sum's last place: 1.2e-7 in float32."""

SHARE = 0.75
"""Of all pairs of the past, how many may be within reach for the others to be left out."""

FEWEST = 768  # queries for which it is worthwhile to ask how long they and their keys are
SHORTEST = 64  # queries of a run
RUNS = 6  # before a run, at most: a key is copied for so many, and one more


class Lookback(NamedTuple):
    """How far back some heads look.

    Args:
        size: Queries of a run.
        n_before: Keys before those of a run that its queries see, a multiple of the size.
    """

    size: int
    n_before: int

    def first(self, length: int) -> int:
        """How many queries come before the first whole run that has all its keys."""
        return length - (length - self.n_before) // self.size * self.size

    def n_pairs(self, length: int) -> float:
        """Pairs that are computed of T queries."""
        first = self.first(length)
        return first**2 / 2 + (length - first) * (self.size + self.n_before)


def by_lookback(
    q: Tensor, k: Tensor, slopes: Tensor, scale: float
) -> list[tuple[slice, Lookback | None]]:
    """Heads, and how far they look back, as many at a time as look equally far; None if everywhere.

    Args:
        q: (B, H, T, K).
        k: (B, H, T, K).
        slopes: (H,) of the bias, -slope · distance.
        scale: Factor on q·k.
    """
    if q.shape[2] < FEWEST:
        return [(slice(0, len(slopes)), None)]
    distances = _distances(q, k, slopes, scale).tolist()
    found, start = [], 0
    for lookback, alike in groupby(_lookback(distance, q.shape[2]) for distance in distances):
        stop = start + len(list(alike))
        found.append((slice(start, stop), lookback))
        start = stop
    return found


def _distances(q: Tensor, k: Tensor, slopes: Tensor, scale: float) -> Tensor:
    """(H,) beyond which all weights together are negligible."""
    dtype = torch.promote_types(q.dtype, torch.float32)
    longest = [torch.linalg.vector_norm(x, dim=-1, dtype=dtype).amax((0, 2)) for x in (q, k)]
    spread = 2 * abs(scale) * longest[0] * longest[1]  # of the logits of a query, at most
    return (spread + math.log(q.shape[2] / (LEFT_OUT * torch.finfo(dtype).eps))) / slopes


def _lookback(distance: float, length: int) -> Lookback | None:
    # A slope of 0 and one that rises have none, nor have logits that are not finite.
    if not 0 < distance < length:
        return None
    size = max(SHORTEST, 2 ** math.ceil(math.log2(distance / RUNS)))
    lookback = Lookback(size, math.ceil(distance / size) * size)
    has_runs = lookback.n_before + size <= length
    return lookback if has_runs and lookback.n_pairs(length) < SHARE * length**2 / 2 else None
