"""What stands some rows up and some columns to the left?"""

from typing import ClassVar, Literal

import torch

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import IGNORE, Sample, Task
from lightning_posenc.tasks.bounds.mode import guess_another
from lightning_posenc.tasks.structure.raster import draw_raster, largest_width


class GridLookup(Task):
    """Symbols on a grid of random width: say the symbol `rows` up and `columns` to the left.

    The length is T, the number of cells; they come row by row, and `positions` says (row, column)
    of each. The width is uniform between half and twice the root of T (see `draw_raster`), so
    that the last row may end early. Cells without such a neighbour are not scored. One row up and
    one column left, with T = 8 and width 3:

        4 0 7        · · ·
        1 1 5        · 4 0
        2 6          · 1

    It stresses relative position on two axes: in the order of reading the neighbour is
    rows * width + columns tokens back, which one who counts tokens cannot know.

    No source: made for this package.

    Args:
        rows: how many rows up, at least 1.
        columns: how many columns to the left, at least 1.
        n_symbols: number of symbols, drawn independently and uniformly, at least 2.

    Raises:
        ValueError: if an argument is too small.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "token"

    def __init__(self, rows: int = 1, columns: int = 1, n_symbols: int = 16) -> None:
        self.rows = whole(self, "rows", rows, 1)
        self.columns = whole(self, "columns", columns, 1)
        self.vocab_size = self.n_classes = whole(self, "n_symbols", n_symbols, 2)
        self.min_length = (rows + 1) * (columns + 1)

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        # Narrow enough for one scored cell: rows full rows, and columns + 1 cells of the next.
        widest = min(largest_width(length), (length - self.columns - 1) // self.rows)
        width, positions = draw_raster(draws, length, self.columns + 1, widest)
        tokens = draws.integers(0, self.vocab_size, length)
        source = torch.arange(length) - self.rows * width - self.columns
        row, column = positions.unbind(-1)
        scored = (row >= self.rows) & (column >= self.columns)
        targets = tokens.gather(1, source.clamp(min=0)).masked_fill_(~scored, IGNORE)
        return Sample(tokens, targets, positions=positions)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exact: every scored target is some other token of the sequence, see `guess_another`."""
        self.check_length(length)
        return guess_another(length, self.vocab_size)
