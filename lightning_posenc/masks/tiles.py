"""Runs of queries, each with the stretch of keys that they see, for a kernel that goes by them.

Shapes: T queries, t of a run, S keys, m of a stretch, h of them hidden from some query.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.masks.base import Mask
from lightning_posenc.masks.local import Causal

TILE = 128  # queries of a run


class KeyStretch(NamedTuple):
    """A run of queries of one sequence, or of all, and the keys from the first to the last of
    which any of them sees.

    Args:
        start: The first query, counted from 0.
        stop: Behind the last.
        low: Where the first key stands.
        high: Behind the last.
        hidden: (t, h) bool, true where a query does not see a key; None if they see all.
        at: Where the first of those h keys stands; all others are seen.
    """

    start: int
    stop: int
    low: int
    high: int
    hidden: Tensor | None = None
    at: int = 0

    def mirrored(self, n_keys: int) -> "KeyStretch":
        """The same with the S keys in reverse order."""
        low, high = n_keys - self.high, n_keys - self.low
        if self.hidden is None:
            return self._replace(low=low, high=high)
        at = n_keys - self.at - self.hidden.shape[1]
        return self._replace(low=low, high=high, hidden=self.hidden.flip(1), at=at)

    def hidden_in(self, low: int, high: int) -> tuple[slice, Tensor] | None:
        """Of the keys in low..high, counted from `low`: which are hidden from some query, and from
        whom, (t, h'); None if from none.
        """
        if self.hidden is None:
            return None
        start, stop = max(low, self.at), min(high, self.at + self.hidden.shape[1])
        if start >= stop:
            return None
        return slice(start - low, stop - low), self.hidden[:, start - self.at : stop - self.at]


def tiles_of(
    mask: Mask | None, first: int, n_queries: int, keys: Tensor, whole: bool
) -> tuple[tuple[KeyStretch, ...], ...]:
    """For each sequence that the mask tells apart, its runs of queries.

    Args:
        mask: The predicate; None if everybody sees everybody.
        first: Index of the first query.
        n_queries: T.
        keys: (S,) indices of the keys, in increasing order, on the CPU.
        whole: Whether these are 0..S-1.
    """
    runs = [(start, min(start + TILE, n_queries)) for start in range(0, n_queries, TILE)]
    n_keys = len(keys)
    if mask is None:
        return (tuple(KeyStretch(start, stop, 0, n_keys) for start, stop in runs),)
    if type(mask) is Causal and whole and first + n_queries <= n_keys:
        later = torch.ones(TILE, TILE, dtype=torch.bool, device=keys.device).triu(1)
        return (tuple(_causal(*run, first, later) for run in runs),)
    by_run = [list(_seen(mask, start, stop, first, keys)) for start, stop in runs]
    return tuple(zip(*by_run, strict=True))


def _causal(start: int, stop: int, first: int, later: Tensor) -> KeyStretch:
    n = stop - start
    return KeyStretch(start, stop, 0, first + stop, later[:n, :n], first + start)


def _seen(mask: Mask, start: int, stop: int, first: int, keys: Tensor) -> Iterator[KeyStretch]:
    queries = torch.arange(first + start, first + stop, device=keys.device)
    for seen in mask.between(queries, keys)[:, 0]:  # (t, S) of each sequence
        near = seen.any(dim=0).nonzero()
        low, high = (int(near[0]), int(near[-1]) + 1) if len(near) else (0, 1)
        hidden = ~seen[:, low:high]
        yield KeyStretch(start, stop, low, high, hidden.contiguous() if hidden.any() else None, low)
