"""Laws of how far a key seems to be from a query, by one of several rotations of both.

Shapes: B sequences, T queries, S keys.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Branch(NamedTuple):
    """Where queries and keys are put for it: their distance is the difference of the two.

    Args:
        query: Of positions (B, T), its own (B, T).
        key: Of positions (B, S), its own (B, S).
    """

    query: Callable[[Tensor], Tensor]
    key: Callable[[Tensor], Tensor]


class Law(ABC):
    """Puts every key at a distance, by one of several rotations of queries and keys."""

    @property
    @abstractmethod
    def branches(self) -> tuple[Branch, ...]:
        """The rotations; by the first of them, keys that are near keep their distance."""

    @abstractmethod
    def chosen(self, query: Tensor, key: Tensor) -> Tensor:
        """Which branch is taken, by its number.

        Args:
            query: Positions (B, T, 1).
            key: Positions (B, 1, S), of which those beyond the query's are hidden anyway.

        Returns:
            Whole numbers, (B, T, S).
        """

    def keeps_all(self, low: float, high: float) -> bool:
        """Whether all keys are taken by the first branch where positions are low..high."""
        return False

    def sharpened(self, query: Tensor) -> Tensor | None:
        """Factors (B, T) on the logits of queries at positions (B, T); None for 1."""
        return None


class TrueDistance(Law):
    """Every key at its own distance, as the model was trained."""

    @property
    def branches(self) -> tuple[Branch, ...]:
        return (Branch(_same, _same),)

    def chosen(self, query: Tensor, key: Tensor) -> Tensor:
        return torch.zeros_like(query - key)


class Rectified(Law):
    """The distance Δ up to a window w, and beyond it w + (Δ - w) / stretch.

    Args:
        window: w, at least 1.
        stretch: At least 1, or infinity for ReRoPE.
        log_from: L, from which on logits are sharpened by ln(position + 1) / ln L; None for not.
    """

    def __init__(self, window: int, stretch: float, log_from: int | None) -> None:
        self.window = window
        self.stretch = stretch
        self.log_from = log_from

    @property
    def branches(self) -> tuple[Branch, ...]:
        w, k = self.window, self.stretch
        far = Branch(lambda i: i.float() / k + (w - w / k), lambda j: j.float() / k)
        return Branch(lambda i: i, lambda j: j), far

    def keeps_all(self, low: float, high: float) -> bool:
        return high - low < self.window

    def chosen(self, query: Tensor, key: Tensor) -> Tensor:
        return (query - key >= self.window).long()

    def sharpened(self, query: Tensor) -> Tensor | None:
        if self.log_from is None:
            return None
        return (torch.log(query.float() + 1) / math.log(self.log_from)).clamp(min=1)


class Grouped(Law):
    """The distance Δ = i - j up to a window w, and beyond it ⌊i/G⌋ - ⌊j/G⌋ + w - ⌊w/G⌋.

    Args:
        window: w, at least 1.
        group: G, at least 1.
    """

    def __init__(self, window: int, group: int) -> None:
        self.window = window
        self.group = group

    @property
    def branches(self) -> tuple[Branch, ...]:
        w, g = self.window, self.group
        far = Branch(lambda i: _floor(i, g) + (w - w // g), lambda j: _floor(j, g))
        return Branch(lambda i: i, lambda j: j), far

    def keeps_all(self, low: float, high: float) -> bool:
        return high - low < self.window

    def chosen(self, query: Tensor, key: Tensor) -> Tensor:
        return (query - key >= self.window).long()


class Chunked(Law):
    """Keys stand at j mod s, with chunks of s = chunk - local tokens.

    A query at i stands at i mod s for keys of its own chunk, at min(i mod s + s, chunk) for those
    of the chunk before it, and at `chunk` for older ones.

    Args:
        chunk: c, above `local`.
        local: How many distances into the chunk before are its own, at least 0.
    """

    def __init__(self, chunk: int, local: int) -> None:
        self.chunk = chunk
        self.length = chunk - local

    @property
    def branches(self) -> tuple[Branch, ...]:
        c, s = self.chunk, self.length
        return (
            Branch(lambda i: i % s, lambda j: j % s),
            Branch(lambda i: (i % s + s).clamp(max=c), lambda j: j % s),
            Branch(lambda i: torch.full_like(i, c), lambda j: j % s),
        )

    def keeps_all(self, low: float, high: float) -> bool:
        return low // self.length == high // self.length

    def chosen(self, query: Tensor, key: Tensor) -> Tensor:
        return (_floor(query, self.length) - _floor(key, self.length)).clamp(0, 2)


def _same(positions: Tensor) -> Tensor:
    return positions


def _floor(positions: Tensor, size: int) -> Tensor:
    """⌊positions / size⌋, of which `//` knows no derivative, though it is 0."""
    return torch.div(positions, size, rounding_mode="floor")
