"""Rows and columns of an image, frames of a video."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_posenc.checks import MOST, several, whole, wrong
from lightning_posenc.positions.base import Positions
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places
from lightning_posenc.positions.sequences import Sequences


class Grid(Positions):
    """Token t at the t-th place of a grid, row by row: (row, column), or (frame, row, column).

    Source: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", arXiv:2010.11929, section 3.1
    (patches in raster order).

    Args:
        shape: Places on each of two axes or more, the last running fastest. One may be -1: it
            follows from the length of the sequence.

    Raises:
        ValueError: If a size is neither positive nor the only -1; on a sequence that does not
            fill the grid; on padded rows, if their padding would count in another size than the
            first.
    """

    source = Paper(
        "Dosovitskiy et al.",
        2021,
        "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
        "2010.11929",
        "section 3.1",
    )
    equation = r"p_t = \left( \lfloor t / W \rfloor,\; t \bmod W \right)"

    def __init__(self, shape: Sequence[int] = (-1, 16)) -> None:
        super().__init__()
        self.shape = tuple(whole(self, "shape", n, -1) for n in several(self, "shape", shape))
        sizes = [size for size in self.shape if size != -1]
        if len(self.shape) < 2 or len(self.shape) - len(sizes) > 1 or min(sizes) < 1:
            raise ValueError(
                f"Grid: shape={list(shape)} must have two positive sizes or more, of which one "
                "may be -1, to be found from the length"
            )
        self.known = math.prod(sizes)
        if self.known > MOST:
            raise wrong(self, "shape", shape, f"have at most {MOST} places")

    def bounds(self, length: int) -> tuple[float, float]:
        return 0, max(*self.shape, length // self.known if -1 in self.shape else 1) - 1

    def places(self, sequences: Sequences) -> Places:
        places = super().places(sequences)
        if len(self.shape) > 2:
            return places
        n_rows, n_columns = (
            sequences.length // self.known if size == -1 else size for size in self.shape
        )
        return places._replace(grid=(n_rows, n_columns))

    def forward(self, sequences: Sequences) -> Tensor:
        length = sequences.length
        if sequences.lengths is not None and -1 in self.shape[1:]:
            raise ValueError(
                f"Grid: shape={list(self.shape)} has a size that padding would change: let the "
                "first be -1, or give all sequences one length"
            )
        rest, over = divmod(length, self.known)
        if over or (-1 not in self.shape and rest != 1):
            raise ValueError(
                f"Grid: {length} tokens do not fill a grid of shape={list(self.shape)}; give "
                f"{'a multiple of ' if -1 in self.shape else ''}{self.known} tokens or another "
                "shape"
            )
        shape = torch.Size(rest if size == -1 else size for size in self.shape)
        places = torch.unravel_index(torch.arange(length, device=sequences.device), shape)
        return torch.stack(places, dim=-1).unsqueeze(0)
