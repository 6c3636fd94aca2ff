"""Where the tokens of one forward pass are, and what is known of it.

Shapes: B sequences, S tokens, A axes.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

OUTSIDE = -1
"""On every axis, of a token that has no place on a grid, such as a class token."""


class Places(NamedTuple):
    """The positions of tokens, and what a sampler knew besides them.

    Args:
        values: (B|1, S), or (B|1, S, A) on A axes: int64, or float32 or float64 off the lattice.
        low: No value lies below; None if nobody knows without reading them.
        high: No value lies above; likewise. A table then needs no look at the values, for which a
            GPU would have to be waited for.
        documents: (B, S) id of the document of each token, where sequences are packed.
        lengths: (B,) tokens of each sequence, where they are padded.
        stretch: (N + 1,) what whole distances 0..N count as; None if as themselves.
        grid: (R, S) rows and columns of the grid whose tokens they are, row by row, all of them
            and no others; None if they are no grid's, or nobody says.
    """

    values: Tensor
    low: float | None = None
    high: float | None = None
    documents: Tensor | None = None
    lengths: Tensor | None = None
    stretch: Tensor | None = None
    grid: tuple[int, int] | None = None

    @property
    def axes(self) -> int:
        """A, numbers for each position."""
        return 1 if self.values.dim() == 2 else self.values.shape[-1]

    @property
    def is_whole(self) -> bool:
        """Whether positions lie on the lattice."""
        return not self.values.is_floating_point()

    def within(self, low: float, below: float) -> bool:
        """Whether it is known, without reading values, that all lie in [low, below)."""
        if self.low is None or self.high is None:
            return False
        return self.low >= low and self.high < below

    @property
    def extent(self) -> float:
        """How far apart two values are at most, as far as is known without reading them."""
        return math.inf if self.low is None or self.high is None else self.high - self.low

    def bounds(self) -> tuple[float, float]:
        """Least and largest value, or something beyond them: read off where nobody knew."""
        if self.low is None or self.high is None:
            low, high = self.values.detach().aminmax()
            return low.item(), high.item()
        return self.low, self.high

    def of_tokens(self) -> Tensor:
        """The values, those of padding being the last token's: (B, S) where there is padding.

        So that what reads off them how far a sequence reaches does not read its padding.
        """
        if self.lengths is None:
            return self.values
        values = self.values.expand(len(self.lengths), *self.values.shape[1:])
        places = torch.arange(values.shape[1], device=values.device)
        index = torch.minimum(places, (self.lengths - 1).clamp(min=0).unsqueeze(1))
        return values.gather(
            1, index.view(*index.shape, *[1] * (values.dim() - 2)).expand_as(values)
        )

    def first(self, n: int) -> "Places":
        """Those of the first n tokens."""
        documents = None if self.documents is None else self.documents[:, :n]
        lengths = None if self.lengths is None else self.lengths.clamp(max=n)
        return self._replace(
            values=self.values[:, :n], documents=documents, lengths=lengths, grid=None
        )

    def last(self, n: int) -> "Places":
        """Those of the last n of S tokens, whose true number nobody asks any more."""
        start = self.values.shape[1] - n
        documents = None if self.documents is None else self.documents[:, start:]
        return self._replace(
            values=self.values[:, start:], documents=documents, lengths=None, grid=None
        )

    def at(self, index: Tensor) -> "Places":
        """Those of some tokens, (S',) in increasing order."""
        documents = None if self.documents is None else self.documents[:, index]
        lengths = self.lengths
        if lengths is not None:
            lengths = (index < lengths[:, None]).sum(dim=1)
        return self._replace(
            values=self.values[:, index], documents=documents, lengths=lengths, grid=None
        )


def on_a_grid(n_rows: int, n_columns: int, device: torch.device) -> Places:
    """Where the tokens of a grid stand, row by row: (1, R·S, 2)."""
    rows, columns = (torch.arange(n, device=device) for n in (n_rows, n_columns))
    values = torch.cartesian_prod(rows, columns).unsqueeze(0)
    return Places(values, 0, max(n_rows, n_columns) - 1, grid=(n_rows, n_columns))


def offsets(queries: Places, keys: Places) -> Tensor:
    """Query position minus key position, (B|1, T, S) or (B|1, T, S, A). THE sign convention.

    As they are; `counted` says what distances count as.
    """
    return queries.values.unsqueeze(2) - keys.values.unsqueeze(1)


def counted(delta: Tensor, places: Places) -> Tensor:
    """What whole distances of any shape count as: themselves, unless they are stretched."""
    if places.stretch is None:
        return delta
    return delta.sign() * places.stretch[delta.abs()]
