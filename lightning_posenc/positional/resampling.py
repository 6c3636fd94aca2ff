"""A learned table made longer or shorter, so that a trained model serves another size.

`LearnedAbsolute` and `LearnedGrid` resample by themselves the table of a checkpoint of another
size. What was learned is stretched: the model sees positions denser than in training.

Shapes: N rows, H and W rows and columns of a grid, D channels.
"""

import logging
from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

log = logging.getLogger("lightning_posenc")


def resampled(table: Tensor, length: int) -> Tensor:
    """Interpolate a table linearly, its first and last row kept (aligned ends).

    Row i of the result stands at i · (N - 1) / (length - 1) of the table; a single row at its
    start.

    Args:
        table: (N, D).
        length: Rows of the result.

    Returns:
        (length, D), in the table's dtype.
    """
    n_rows = len(table)
    place = torch.linspace(0, n_rows - 1, length, dtype=torch.float64, device=table.device)
    low = place.floor().long().clamp(max=max(n_rows - 2, 0))
    share = (place - low).unsqueeze(-1)
    wide = table.double()
    return torch.lerp(wide[low], wide[(low + 1).clamp(max=n_rows - 1)], share).to(table.dtype)


def resampled_grid(table: Tensor, height: int, width: int) -> Tensor:
    """Interpolate a grid bicubically, as an image whose pixels are squares.

    The corners of the outer pixels are aligned (half-pixel centres, a = -0.75, no antialiasing):
    `align_corners=False` of torch and the `interpolate_pos_encoding` of DINO's and transformers'
    ViT. Of 1-D tables the ends are aligned: there the first and last token stay where they were,
    while patches of an image of another resolution cover the same field of view.

    Source: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", arXiv:2010.11929,
    section 3.2.

    Args:
        table: (H, W, D).
        height: Rows of the result.
        width: Columns of the result.

    Returns:
        (height, width, D), in the table's dtype.
    """
    image = table.float().permute(2, 0, 1).unsqueeze(0)
    image = F.interpolate(image, (height, width), mode="bicubic", align_corners=False)
    return image.squeeze(0).permute(1, 2, 0).contiguous().to(table.dtype)


def resample_entry(
    owner: object, state: MutableMapping[str, Any], key: str, size: tuple[int, ...]
) -> None:
    """Resample a checkpoint's table in place where its size, not its width, is another.

    Args:
        owner: Whose table it is, for the log.
        state: The checkpoint.
        key: Where the table stands in it.
        size: Rows (N,) or rows and columns (H, W) that are wanted.
    """
    table = state.get(key)
    if table is None or table.dim() != len(size) + 1 or tuple(table.shape[:-1]) == size:
        return  # what else is wrong with it, load_state_dict says
    state[key] = resampled(table, *size) if len(size) == 1 else resampled_grid(table, *size)
    was, now = (" x ".join(map(str, each)) for each in (table.shape[:-1], size))
    log.warning("%s: %s resampled from %s to %s rows", type(owner).__name__, key, was, now)
