"""What stands at the mirrored place of the row?"""

from typing import ClassVar, Literal

import torch

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import IGNORE, Sample, Task
from lightning_posenc.tasks.bounds.mode import guess_another
from lightning_posenc.tasks.structure.raster import draw_raster, largest_width


class GridReflection(Task):
    """Symbols on a grid of random width W: at column c say the symbol at column W - 1 - c.

    The length is T, the number of cells; they come row by row, and `positions` says (row, column)
    of each. The width is uniform between half and twice the root of T (see `draw_raster`), so
    that the last row may end early. Not scored are cells that mirror to themselves or to a place
    past the end. With T = 8 and width 3:

        4 0 7        7 · 4
        1 1 5        5 · 1
        2 6          · ·

    It stresses both axes in different ways: the row must be one's own, while the column must be
    known from the edges; the width shows in the largest column alone.

    No source: made for this package, `Reverse` on a grid.

    Args:
        n_symbols: number of symbols, drawn independently and uniformly, at least 2.

    Raises:
        ValueError: if an argument is too small.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "token"
    min_length = 4

    def __init__(self, n_symbols: int = 16) -> None:
        self.vocab_size = self.n_classes = whole(self, "n_symbols", n_symbols, 2)

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        width, positions = draw_raster(draws, length, 2, largest_width(length))
        tokens = draws.integers(0, self.vocab_size, length)
        t = torch.arange(length)
        mirrored = t + width - 1 - 2 * positions[..., 1]
        scored = (mirrored != t) & (mirrored < length)
        targets = tokens.gather(1, mirrored.clamp(max=length - 1)).masked_fill_(~scored, IGNORE)
        return Sample(tokens, targets, positions=positions)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exact: every scored target is some other token of the sequence, see `guess_another`."""
        self.check_length(length)
        return guess_another(length, self.vocab_size)
