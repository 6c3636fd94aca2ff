"""A learned vector per place of a 2-D grid."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import is_a, number, one_of, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.absolute.base import Absolute
from lightning_posenc.positional.bilinear import bilinear
from lightning_posenc.positional.regularisers import roughness
from lightning_posenc.positional.resampling import Resize, ResizedTable
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import OUTSIDE, Places
from lightning_posenc.positions.recording import is_recorded


class LearnedGrid(ResizedTable, Absolute):
    """Adds a learned vector for each place of a grid of rows and columns.

    x_(r, c) + E[r, c], with a learned table E of `height` rows and `width` columns.

    Source: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", arXiv:2010.11929, equation 1
    and appendix D.4. Between whole positions the four neighbouring vectors are interpolated
    bilinearly. A token at (-1, -1) lies outside the grid and gets nothing: a class token, whose own
    vector says where it is. A checkpoint's table of another size is fitted when it is loaded.

    Args:
        dims: Sizes of the model.
        height: Rows of the grid, 1 to 4096: positions (r, c) have 0 <= r < height.
        width: Columns of the grid, likewise.
        layers: Before which blocks to add, counted from 0: the same vectors before each.
        std: Standard deviation at initialisation; None takes `dims.embed_std`, the token
            embeddings' own, since a table far below theirs hardly trains; at least 0.
        dropout: Probability, in training, of a token getting no position at all, in [0, 1).
        smoothness: Weight of a penalty on differences of neighbours: mean squared norm down the
            columns plus that along the rows; not negative.
        resize: What to do with a checkpoint's table of another size: "resample" stretches it
            (bicubically), "extend" keeps its entries in place, with untrained ones beyond.
        antialias: Whether resampling blurs before it leaves rows out, as torch does and DINOv2 with
            registers; a grid that grows only becomes softer (a = -0.5).

    Raises:
        ValueError: On positions that are not (row, column), or beyond the table.
    """

    source = Paper(
        "Dosovitskiy et al.",
        2021,
        "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
        "2010.11929",
        "equation 1 and appendix D.4",
    )
    equation = r"x_{(r,c)} \leftarrow x_{(r,c)} + E_{r,c}"

    axes = 2

    def __init__(
        self,
        dims: Dims,
        height: int = 32,
        width: int = 32,
        layers: Sequence[int] = (0,),
        std: float | None = None,
        dropout: float = 0.0,
        smoothness: float = 0.0,
        resize: Resize = "resample",
        antialias: bool = False,
    ) -> None:
        super().__init__(dims, layers, dropout)
        self.height = whole(self, "height", height, most=4096)
        self.width = whole(self, "width", width, most=4096)
        self.smoothness = number(self, "smoothness", smoothness, 0)
        self.resize = one_of(self, "resize", resize, ("resample", "extend"))
        self.antialias = is_a(self, "antialias", antialias, bool)
        self.table = nn.Parameter(torch.empty(height, width, dims.d_model))
        nn.init.normal_(
            self.table, std=number(self, "std", dims.embed_std if std is None else std, 0)
        )

    def check(self, places: Places) -> None:
        super().check(places)
        if not (places.within(OUTSIDE, min(self.height, self.width)) or is_recorded()):
            self._check_places(places.values)

    def vectors(self, positions: Tensor) -> Tensor:
        inside = (positions > OUTSIDE).all(dim=-1, keepdim=True)
        return torch.where(inside, bilinear(self._at, positions), 0.0)

    def penalty(self) -> Tensor | None:
        if not self.smoothness:
            return None
        return self.smoothness * (roughness(self.table) + roughness(self.table.transpose(0, 1)))

    def _at(self, places: Tensor) -> Tensor:
        """Vectors at whole places (…, 2); one beyond the last row or column counts as the last."""
        row, column = places.unbind(-1)
        row, column = row.clamp(0, self.height - 1), column.clamp(0, self.width - 1)
        index = row * self.width + column
        return F.embedding(index, self.table.flatten(0, 1))

    @torch.compiler.disable
    def _check_places(self, positions: Tensor) -> None:
        positions = positions[(positions != OUTSIDE).all(dim=-1)]
        if not len(positions):
            return
        rows, columns = positions.unbind(-1)
        low, row, column = positions.amin().item(), rows.amax().item(), columns.amax().item()
        if low < 0 or row >= self.height or column >= self.width:
            raise ValueError(
                f"LearnedGrid: the table has height={self.height} and width={self.width}, but a "
                f"row {row} and a column {column} were asked for (lowest {low}); raise height and "
                "width (a checkpoint's table is then resampled), or give smaller grids"
            )
