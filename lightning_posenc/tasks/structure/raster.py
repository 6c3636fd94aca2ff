"""Grids that are read row by row, of a width that differs between samples."""

import math

import torch
from torch import Tensor

from lightning_posenc.draws import Draws


def largest_width(length: int) -> int:
    """Twice the root of the number of cells, rounded down: at most four times as wide as high."""
    return math.isqrt(4 * length)


def draw_raster(draws: Draws, length: int, narrowest: int, widest: int) -> tuple[Tensor, Tensor]:
    """A width for each sample, and where its tokens stand.

    Args:
        draws: source of the widths.
        length: T, number of cells; the last row holds what is left.
        narrowest: smallest width that serves; half the root of T is the smallest anyway, unless
            `widest` is smaller still.
        widest: largest width.

    Returns:
        (B, 1) int64, the width, uniform in its range; (B, T, 2) int64, row and column.
    """
    low = min(max(narrowest, math.isqrt(length) // 2), widest)
    width = draws.integers(low, widest + 1)[:, None]
    t = torch.arange(length)
    return width, torch.stack([t // width, t % width], dim=-1)
