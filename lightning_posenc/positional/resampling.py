"""A learned table made longer or shorter, so that a trained model serves another size.

`LearnedAbsolute` and `LearnedGrid` fit by themselves the table of a checkpoint of another size, in
one of two ways. Resampling stretches what was learned over the new size: for sequences that are
longer because they are sampled more densely, such as images of a higher resolution. Extension
leaves every row where it is and adds untrained ones: for sequences that simply go on, or a model
that is trained further. Resampled, a model is another one at the lengths that it was trained on.

Shapes: N rows, H and W rows and columns of a grid, D channels.
"""

import logging
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

log = logging.getLogger("lightning_posenc")

Resize: TypeAlias = Literal["resample", "extend"]
Curve: TypeAlias = Literal["linear", "cubic"]


def resampled(
    table: Tensor, length: int, curve: Curve = "linear", antialias: bool = False
) -> Tensor:
    """Interpolate a table, its first and last row kept (aligned ends).

    Row i of the result stands at i · (N - 1) / (length - 1) of the table; a single row at its
    start.

    Args:
        table: (N, D).
        length: Rows of the result.
        curve: Between neighbouring rows a straight line, or a cubic one as in `resampled_grid`.
        antialias: As in `resampled_grid`; the ends are then kept nearly.

    Returns:
        (length, D), in the table's dtype.
    """
    n_rows = len(table)
    if curve == "cubic" or antialias:
        image = table.double().t()[None, :, None]
        made = _interpolated(image, (1, length), curve, antialias, aligned=True)
        return made[0, :, 0].t().contiguous().to(table.dtype)
    place = torch.linspace(0, n_rows - 1, length, dtype=torch.float64, device=table.device)
    low = place.floor().long().clamp(max=max(n_rows - 2, 0))
    share = (place - low).unsqueeze(-1)
    wide = table.double()
    return torch.lerp(wide[low], wide[(low + 1).clamp(max=n_rows - 1)], share).to(table.dtype)


def resampled_grid(
    table: Tensor, height: int, width: int, curve: Curve = "cubic", antialias: bool = False
) -> Tensor:
    """Interpolate a grid as an image whose pixels are squares, by default bicubically.

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
        curve: Bilinear or bicubic.
        antialias: Blur before rows are left out, as torch does; where the grid grows that only
            makes the cubic softer (a = -0.5).

    Returns:
        (height, width, D), in the table's dtype.
    """
    image = table.float().permute(2, 0, 1).unsqueeze(0)
    image = _interpolated(image, (height, width), curve, antialias, aligned=False)
    return image.squeeze(0).permute(1, 2, 0).contiguous().to(table.dtype)


def _interpolated(
    image: Tensor, size: tuple[int, int], curve: Curve, antialias: bool, aligned: bool
) -> Tensor:
    """(1, D, H, W) to another size; `aligned` is of the outer pixels' centres."""
    mode = {"linear": "bilinear", "cubic": "bicubic"}[curve]
    return F.interpolate(image, size, mode=mode, align_corners=aligned, antialias=antialias)


def tiled(table: Tensor, *size: int) -> Tensor:
    """Lay a table end to end: what stands at p stands again at p + N.

    Every local pattern is kept, but for the seams, and no two rows were trained that far apart.
    Source: Beltagy et al. 2020, "Longformer", arXiv:2004.05150, section 5, who so copied
    RoBERTa's 512 rows to 4096.

    Args:
        table: (N, D) or (H, W, D).
        size: Of the result: (length,) or (height, width).

    Returns:
        (length, D) or (height, width, D).
    """
    for axis, n in enumerate(size):
        place = torch.arange(n, device=table.device) % table.shape[axis]
        table = table.index_select(axis, place)
    return table


def extended(table: Tensor, fresh: Tensor) -> Tensor:
    """Put a table over the beginning of another, or as much of it as has room there.

    Args:
        table: (N, D) or (H, W, D).
        fresh: What to cover, with as many axes.

    Returns:
        Of the shape of `fresh`, in the table's dtype.
    """
    made = fresh.detach().to(table).clone()
    common = tuple(slice(min(a, b)) for a, b in zip(table.shape, fresh.shape, strict=True))
    made[common] = table[common]
    return made


class ResizedTable(nn.Module):
    """A module that fits a checkpoint's `table` of another size to its own.

    What else is wrong with a table, its width or its kind, `load_state_dict` says.
    """

    table: nn.Parameter  # (N, D) or (H, W, D), unless a subclass lays it out otherwise
    resize: Resize
    antialias: bool = False
    """Whether a grid that is resampled to a smaller one is blurred before."""

    def resized(self, table: Tensor) -> Tensor:
        """A table of another size, resampled, or extended by the rows that are here now."""
        if self.resize == "extend":
            return extended(table, self.table)
        return self._resampled(table)

    def resized_moments(self, moments: Tensor) -> Tensor:
        """What an optimizer remembers of each entry of a table, made to go with it.

        Untrained rows have none. Resampled ones stay within the range of what was there: a mean of
        squares must not become negative.
        """
        if self.resize == "extend":
            return extended(moments, torch.zeros_like(self.table))
        return self._resampled(moments).clamp(moments.amin(), moments.amax())

    def _resampled(self, table: Tensor) -> Tensor:
        size = self.table.shape[:-1]
        if len(size) == 1:
            return resampled(table, *size)
        height, width = size
        return resampled_grid(table, height, width, antialias=self.antialias)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register_load_state_dict_pre_hook(_resize)

    def _resizes(self, table: Tensor) -> bool:
        """Whether a table differs from the own one in its size, and in nothing else."""
        same_kind = table.dim() == self.table.dim() and table.shape[-1] == self.table.shape[-1]
        return same_kind and table.shape != self.table.shape

    def size_of(self, table: Tensor) -> torch.Size:
        """How many rows, or rows and columns, a table has."""
        return table.shape[:-1]

    def _say(self, key: str, table: Tensor) -> None:
        was, now = (" x ".join(map(str, self.size_of(each))) for each in (table, self.table))
        if self.resize == "extend":
            how = "extended", "rows beyond were not trained, rows cut off are gone"
        else:
            how = (
                "resampled",
                "stretched over the new size, so at lengths that it was trained on the model is "
                "another one; resize=extend leaves the rows in place",
            )
        owner = type(self).__name__
        log.warning("%s: %s %s from %s to %s rows: %s", owner, key, how[0], was, now, how[1])


def _resize(module: ResizedTable, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Fit the table that is about to be loaded, and say so."""
    table = state.get(f"{prefix}table")
    if table is not None and module._resizes(table):
        state[f"{prefix}table"] = module.resized(table)
        module._say(f"{prefix}table", table)
