"""A bias of distance that is not written out for every pair.

Shapes: B sequences, H heads, T queries, S keys, N distances.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

LARGE = 2**20
"""Pairs of a query and a key beyond which a bias is better not written out."""

MANY = 512
"""Queries from which on the CPU had better read a bias of diagonals by tiles
(`model.kernels.by_tiles`); below, what is written out once for all layers takes less time."""

SOME = 192
"""The same in a causal model where the bias is a number for each key (`model.kernels.key_bias`)."""


Some: TypeAlias = slice | list[int] | Tensor
"""Which of the queries or keys."""


class Unwritten(Protocol):
    """A bias (B|1, H, T, S) that is written out for some queries at a time."""

    @property
    def requires_grad(self) -> bool:
        """Whether anything that it is made of learns."""
        ...

    @property
    def is_large(self) -> bool:
        """Whether there are too many pairs to write them out at once."""
        ...

    def of(self, queries: Some, keys: Some = slice(None)) -> "Unwritten":
        """The bias of some of the queries, on some of the keys."""
        ...

    def first(self, n: int) -> "Unwritten":
        """That of the first n sequences; what all share stays as it is."""
        ...

    def written_out(self) -> Tensor:
        """(B|1, H, T, S)."""
        ...


class ByDistance(NamedTuple):
    """A bias (B|1, H, T, S), told by its values at each distance.

    Args:
        values: (H, N) at N consecutive whole distances, query minus key.
        low: The first of them.
        q_pos: (B|1, T), integers.
        k_pos: (B|1, S), integers.
        diagonal: Distance between the first query and the first key, where distances grow by one
            from query to query and shrink by one from key to key, in all pairs that anybody sees,
            and a kernel had better read the bias so; None elsewhere.
    """

    values: Tensor
    low: int
    q_pos: Tensor
    k_pos: Tensor
    diagonal: int | None = None

    @property
    def requires_grad(self) -> bool:
        """Whether the values learn."""
        return self.values.requires_grad

    @property
    def is_large(self) -> bool:
        """Whether there are too many pairs to write them out at once."""
        return self.diagonal is not None or self.n_pairs > LARGE

    @property
    def n_pairs(self) -> int:
        """T · S."""
        return self.q_pos.shape[1] * self.k_pos.shape[1]

    def slopes(self) -> Tensor | None:
        """The slopes m (H,) of values that are -m · distance for all keys in the past, to the last
        bit; None if they are not, or learn. Of tables with at least two such keys.
        """
        past = self.values.detach()[:, -self.low :]
        if self.requires_grad or self.low > 0 or past.shape[1] < self.k_pos.shape[1]:
            return None
        distances = torch.arange(past.shape[1], dtype=past.dtype, device=past.device)
        return -past[:, 1] if torch.equal(past, past[:, 1:2] * distances) else None

    def is_beside(self, other: "ByDistance") -> bool:
        """Whether the other holds the values of the same distances of the same pairs."""
        pairs = self.q_pos is other.q_pos and self.k_pos is other.k_pos
        return pairs and self.low == other.low and self.values.shape == other.values.shape

    def __add__(self, other: "Tensor | Unwritten") -> Tensor:  # type: ignore[override]
        """The sum with another bias, written out: what an encoding built on another expects."""
        return self.written_out() + written_out(other)

    def __radd__(self, other: Tensor) -> Tensor:
        return self + other

    def of(self, queries: Some, keys: Some = slice(None)) -> "ByDistance":
        """The bias of some of the queries, on some of the keys."""
        return self._replace(q_pos=self.q_pos[:, queries], k_pos=self.k_pos[:, keys], diagonal=None)

    def first(self, n: int) -> "ByDistance":
        """That of the first n sequences; what all share stays as it is."""
        return self._replace(q_pos=self.q_pos[:n], k_pos=self.k_pos[:n])

    def written_out(self) -> Tensor:
        """(B|1, H, T, S)."""
        return gather(self.values, self.q_pos.unsqueeze(2) - (self.k_pos + self.low).unsqueeze(1))


def added(biases: Sequence[Tensor | Unwritten]) -> Tensor | Unwritten | None:
    """The sum of biases; it stays a table where all are tables of the same distances."""
    if len(biases) == 1:
        return biases[0]
    tables = [bias for bias in biases if isinstance(bias, ByDistance)]
    if tables and len(tables) == len(biases) and all(map(tables[0].is_beside, tables)):
        return tables[0]._replace(values=reduce(add, (table.values for table in tables)))
    return reduce(add, map(written_out, biases)) if biases else None


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Look up (H, N) at (B|1, T, S), giving (B|1, H, T, S).

    As an embedding, whose backward is a fast sum over rows, where that of indexing is not.
    """
    return F.embedding(index, values.t()).permute(0, 3, 1, 2).contiguous()


def written_out(bias: Tensor | Unwritten) -> Tensor:
    """A bias as a tensor (B|1, H|1, T, S), in whichever form it came."""
    return bias if isinstance(bias, Tensor) else bias.written_out()
