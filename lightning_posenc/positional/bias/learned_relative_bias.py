"""A learned scalar per head and clipped offset."""

import torch
from torch import Tensor, nn

from lightning_posenc.checks import number, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.bias.layered import LayeredBias
from lightning_posenc.positional.layers import gained_layers
from lightning_posenc.positional.regularisers import roughness
from lightning_posenc.positions.paper import Paper


class LearnedRelativeBias(LayeredBias):
    """A learned bias for each offset and head; far offsets share one.

    bias_h(delta) = b_h[clip(delta, -max_distance, max_distance)], learned.

    Source: Shaw et al. 2018, arXiv:1803.02155, with a scalar in place of a vector, as in Raffel et
    al. 2020 but without buckets. Offsets off the lattice are rounded.

    The table does not start at zero: the gradient that reaches it is small, and from zero at the
    model's own learning rate it stays there.

    Args:
        dims: Sizes of the model.
        max_distance: Offsets beyond it, at least 1, share the last entry, so that longer sequences
            work.
        shared: One table for all layers instead of one for each.
        std: Standard deviation of the table at initialisation, in logits; at least 0.
        smoothness: Weight of a penalty on the difference between neighbouring distances: its
            square, summed over heads, averaged over distances and layers; not negative.
    """

    source = Paper(
        "Shaw et al.", 2018, "Self-Attention with Relative Position Representations", "1803.02155"
    )
    equation = r"b_h(\Delta) = \beta_h\!\left[ \operatorname{clip}(\Delta, -m, m) \right]"

    def __init__(
        self,
        dims: Dims,
        max_distance: int = 64,
        shared: bool = False,
        std: float = 2.0,
        smoothness: float = 0.0,
    ) -> None:
        super().__init__(dims)
        self.max_distance = whole(self, "max_distance", max_distance)
        self.smoothness = number(self, "smoothness", smoothness, 0)
        layers = 1 if shared else dims.n_layers
        self.table = nn.Parameter(torch.empty(layers, dims.n_heads, 2 * max_distance + 1))
        nn.init.normal_(self.table, std=number(self, "std", std, 0))
        gained_layers(self, "table")

    @property
    def n_functions(self) -> int:
        return len(self.table)

    def bias_of(self, number: int, delta: Tensor) -> Tensor:
        clipped = delta.round().clamp(-self.max_distance, self.max_distance).long()
        return self.table[number].float()[:, clipped + self.max_distance]

    def penalty(self) -> Tensor | None:
        rows = self.table.transpose(-1, -2)  # (L|1, N, H)
        return self.smoothness * roughness(rows) if self.smoothness else None
