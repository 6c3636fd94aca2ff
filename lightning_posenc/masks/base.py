"""What a predicate of who sees whom is, and how two make one.

b, q and k are index tensors that broadcast against each other, so that one definition serves a
dense mask, SDPA's `is_causal` and a FlexAttention block mask. Every predicate lets a token see
itself: no row of attention is ever empty, and no softmax yields NaN.

Shapes: B sequences, T queries, S keys.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import NamedTuple

import torch
from torch import Tensor

FAR = 2**40
"""An index beyond every token."""


class Span(NamedTuple):
    """The tokens from one index to another, both included; tensors of such broadcast."""

    low: Tensor
    high: Tensor

    def meets(self, other: "Span") -> Tensor:
        """Whether a token belongs to both."""
        return (self.low <= other.high) & (other.low <= self.high)

    def over(self, size: int) -> "Span":
        """The blocks of `size` tokens that they belong to."""
        return Span(self.low // size, self.high // size)


class Mask(ABC):
    """A predicate on (sequence, query, key)."""

    @abstractmethod
    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        """Say which queries see which keys: True where they may. Shapes broadcast."""

    def __and__(self, other: "Mask") -> "Mask":
        return Both(self, other)

    def __or__(self, other: "Mask") -> "Mask":
        return Either(self, other)

    def reaches(self, queries: Span, keys: Span) -> Tensor:
        """Say whether any of some queries may see any of some keys, in whatever sequence.

        False only where it is known. What no query reaches is not computed, and what no query to
        come will reach is not remembered.
        """
        return torch.ones_like(queries.low + keys.low, dtype=torch.bool)

    @property
    def n_sequences(self) -> int:
        """How many different sequences the mask speaks of; 1 if it is the same for all."""
        return 1

    @property
    def hides_future(self) -> bool:
        """Whether it is known that nobody sees what comes later."""
        return False

    @property
    def by_distance(self) -> bool:
        """Whether who sees whom is said of distances alone, wherever tokens are counted from."""
        return False

    @property
    def in_stretches(self) -> bool:
        """Whether it is known that neighbours see much the same stretch of keys, and others none
        of it, as in packed documents.
        """
        return False

    @property
    def depends_on_length(self) -> bool:
        """Whether who sees whom changes with the number of tokens, which `at` tells."""
        return False

    def at(self, n_tokens: int, device: torch.device) -> "Mask":
        """The same for sequences of so many tokens, with what is drawn on a device."""
        return self

    def dense(
        self, n_queries: int, n_keys: int, device: torch.device, first: int | None = None
    ) -> Tensor:
        """Materialise the mask: (B|1, 1, T, S) bool.

        Args:
            n_queries: T.
            n_keys: S.
            device: Where to.
            first: Index among the keys of the first query; None if the queries are the last keys.
        """
        first = n_keys - n_queries if first is None else first
        keys = torch.arange(n_keys, device=device)
        return self.between(torch.arange(first, first + n_queries, device=device), keys)

    def between(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Materialise it for the tokens of some indices: (B|1, 1, T, S) bool.

        Args:
            queries: (T,).
            keys: (S,).
        """
        b = torch.arange(self.n_sequences, device=keys.device)[:, None, None]
        seen = self(b, queries[:, None], keys)
        return seen.expand(self.n_sequences, len(queries), len(keys)).unsqueeze(1)


@dataclass(frozen=True)
class Pair(Mask):
    """What two masks make together."""

    left: Mask
    right: Mask

    @property
    def n_sequences(self) -> int:
        left, right = self.left.n_sequences, self.right.n_sequences
        return right if left == 1 else left  # there can be none, too

    @property
    def by_distance(self) -> bool:
        return self.left.by_distance and self.right.by_distance

    @property
    def depends_on_length(self) -> bool:
        return self.left.depends_on_length or self.right.depends_on_length

    def at(self, n_tokens: int, device: torch.device) -> Mask:
        if not self.depends_on_length:
            return self
        return type(self)(self.left.at(n_tokens, device), self.right.at(n_tokens, device))


class Both(Pair):
    """What two masks both allow."""

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return self.left(b, q, k) & self.right(b, q, k)

    def reaches(self, queries: Span, keys: Span) -> Tensor:
        return self.left.reaches(queries, keys) & self.right.reaches(queries, keys)

    @property
    def hides_future(self) -> bool:
        return self.left.hides_future or self.right.hides_future

    @property
    def in_stretches(self) -> bool:
        return self.left.in_stretches or self.right.in_stretches


class Either(Pair):
    """What one of two masks allows."""

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return self.left(b, q, k) | self.right(b, q, k)

    def reaches(self, queries: Span, keys: Span) -> Tensor:
        return self.left.reaches(queries, keys) | self.right.reaches(queries, keys)

    @property
    def hides_future(self) -> bool:
        return self.left.hides_future and self.right.hides_future


def compose(*masks: Mask | None) -> Mask | None:
    """What all the given masks allow; None allows everything."""
    given = [mask for mask in masks if mask is not None]
    return reduce(and_, given) if given else None
