"""A learned scalar for each offset in a window.

Shapes: L layers, H heads, M rows and N columns of a window.
"""

import torch
from torch import Tensor, nn

from lightning_posenc.checks import number, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.bias.on_a_plane import PlaneBias
from lightning_posenc.positional.bilinear import bilinear
from lightning_posenc.positional.resampling import Resize, ResizedTable, resampled_grid
from lightning_posenc.positions.paper import Paper


class SwinBias(ResizedTable, PlaneBias):
    """A learned bias for each offset in rows and columns, of each head.

    bias_h(i, j) = b_h[row_i - row_j, column_i - column_j], learned.

    Source: Liu et al. 2021, "Swin Transformer", arXiv:2103.14030, equation 4. Deviations: offsets
    beyond the table share its last entry, where the paper's windows have none; the table starts at
    N(0, std²), where the paper's 0.02 hardly trains. Between whole offsets it is interpolated
    bilinearly. A checkpoint's table of another size is stretched bicubically when it is loaded.

    Args:
        dims: Sizes of the model.
        height: M, rows of a window, 1 to 2048: the table holds offsets up to M - 1.
        width: N, its columns, likewise.
        shared: One table for all layers instead of one for each.
        std: Standard deviation of the table at initialisation, in logits; at least 0.
    """

    source = Paper(
        "Liu et al.",
        2021,
        "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
        "2103.14030",
        "equation 4",
    )
    equation = r"b_h(i, j) = \beta_h\!\left[ r_i - r_j,\; c_i - c_j \right]"

    resize: Resize = "resample"

    def __init__(
        self, dims: Dims, height: int = 7, width: int = 7, shared: bool = False, std: float = 1.0
    ) -> None:
        super().__init__(dims)
        self.height = whole(self, "height", height, most=2048)
        self.width = whole(self, "width", width, most=2048)
        layers = 1 if shared else dims.n_layers
        self.table = nn.Parameter(torch.empty(layers, dims.n_heads, 2 * height - 1, 2 * width - 1))
        nn.init.normal_(self.table, std=number(self, "std", std, 0))

    @property
    def n_functions(self) -> int:
        return len(self.table)

    def bias_of(self, number: int, delta: Tensor) -> Tensor:
        table = self.table[number].float()

        def at(offsets: Tensor) -> Tensor:
            row, column = offsets.unbind(-1)
            row = row.clamp(1 - self.height, self.height - 1) + self.height - 1
            column = column.clamp(1 - self.width, self.width - 1) + self.width - 1
            return table[:, row, column].movedim(0, -1)

        return bilinear(at, delta).movedim(-1, 0)

    def size_of(self, table: Tensor) -> torch.Size:
        return table.shape[2:]

    def _resizes(self, table: Tensor) -> bool:
        alike = table.dim() == 4 and table.shape[:2] == self.table.shape[:2]
        return alike and table.shape != self.table.shape

    def _resampled(self, table: Tensor) -> Tensor:
        image = resampled_grid(table.flatten(0, 1).permute(1, 2, 0), *self.table.shape[2:])
        return image.permute(2, 0, 1).unflatten(0, table.shape[:2])
