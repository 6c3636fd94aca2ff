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
        grid: (R, S) rows and columns of the grid whose tokens they are, row by row, all of them;
            None if they are no grid's, or nobody says (`raster` then reads it off).
        n_outside: How many other tokens come before those of the grid, all of them OUTSIDE.
    """

    values: Tensor
    low: float | None = None
    high: float | None = None
    documents: Tensor | None = None
    lengths: Tensor | None = None
    stretch: Tensor | None = None
    grid: tuple[int, int] | None = None
    n_outside: int = 0

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

    @property
    def is_bounded(self) -> bool:
        """Whether bounds are known: a compiled model need not leave its graph to read them."""
        return self.low is not None and self.high is not None

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


def behind_class_tokens(places: Places, n: int) -> Places:
    """Where the tokens of a grid stand, and n before them that have no place on it."""
    if not n:
        return places
    outside = places.values.new_full((1, n, places.axes), OUTSIDE)
    values = torch.cat((outside, places.values), dim=1)
    return places._replace(values=values, low=OUTSIDE, n_outside=n)


class Raster(NamedTuple):
    """A grid whose tokens come row by row, behind others that have no place on it."""

    n_outside: int
    n_rows: int
    n_columns: int


def raster(places: Places) -> Raster | None:
    """The grid whose tokens these are, all of them and row by row: as its maker says, or else read
    off the positions, for which a GPU has to be waited for. None if they are no grid's.
    """
    if places.grid is not None:
        return Raster(places.n_outside, *places.grid)
    values = places.values
    if values.dim() != 3 or places.axes != 2 or not places.is_whole or not values.shape[1]:
        return None
    return _read_off(values)


@torch.compiler.disable
def _read_off(values: Tensor) -> Raster | None:
    """The same of (B|1, T, 2) whole numbers."""
    n_outside = int((values == OUTSIDE).all(dim=-1).all(dim=0).int().cumprod(dim=0).sum())
    n_rows, n_columns = (1 + int(n) for n in values[0].amax(dim=0))
    found = Raster(n_outside, n_rows, n_columns)
    if n_rows < 1 or n_outside + n_rows * n_columns != values.shape[1]:
        return None
    cells = on_a_grid(n_rows, n_columns, values.device).values
    return found if bool((values[:, n_outside:] == cells).all()) else None


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


def diagonal_of(queries: Places, keys: Places) -> int | None:
    """The distance between the first query and the first key, where both count one by one; where
    documents are packed, only within each of them.

    Read off the positions: None on a GPU, which would have to be waited for, and where they do not.
    """
    if keys.values.device.type != "cpu" or not (queries.is_whole and keys.is_whole):
        return None
    q, k = queries.values, keys.values
    if queries is keys:
        steps = k.diff(dim=1) == 1
        if keys.documents is not None:
            steps = steps | (keys.documents.diff(dim=1) != 0)
        return 0 if bool(steps.all()) else None
    between = q[:, 0] - k[:, 0]
    counts = bool((q.diff(dim=1) == 1).all()) and bool((k.diff(dim=1) == 1).all())
    return int(between[0]) if counts and bool((between == between[0]).all()) else None
