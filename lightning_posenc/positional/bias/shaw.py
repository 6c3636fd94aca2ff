"""Relative position representations added to the keys, and to the values.

Shapes: B sequences, T queries, t of them at a time, S keys, H heads, K channels of a head.
"""

from functools import partial

import torch
from torch import Tensor, nn

from lightning_posenc.checks import number, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import Site
from lightning_posenc.positional.bias.relative_vectors import RelativeVectors
from lightning_posenc.positional.layers import of_layer
from lightning_posenc.positions.paper import Paper


class ShawRelative(RelativeVectors):
    """Adds a learned vector for each offset to the keys; far offsets share one.

    logits_ij = q_i · (k_j + a[clip(j - i)]) / sqrt(K), a learned vector per clipped offset.

    The vectors are shared by the heads of a layer. With `values`, others are added to the values:
    z_i = Σ_j weight_ij · (v_j + a'[clip(j - i)]). Source: Shaw, Uszkoreit, Vaswani 2018,
    "Self-Attention with Relative Position Representations", arXiv:1803.02155, equations 2, 3 and 5.
    Deviation: dropout of attention weights spares a', whose weights are computed once more, a few
    queries at a time, so that every kernel serves.

    Args:
        dims: Sizes of the model.
        max_distance: Offsets beyond it, at least 1, share the last vector, so that longer sequences
            work.
        shared: One table for all layers instead of one for each.
        std: Standard deviation of the vectors; None takes 1 / sqrt(K), the scale at which their
            part of the logits matches a unit key's; at least 0.
        values: Whether the values have vectors too, which the paper's section 4.3 finds needless.
    """

    source = Paper(
        "Shaw, Uszkoreit, Vaswani",
        2018,
        "Self-Attention with Relative Position Representations",
        "1803.02155",
        "equations 2, 3 and 5",
    )
    equation = (
        r"\ell_{ij} = \frac{q_i \cdot \left( k_j + a_{\operatorname{clip}(j-i)} \right)}{\sqrt K}"
    )

    def __init__(
        self,
        dims: Dims,
        max_distance: int = 16,
        shared: bool = False,
        std: float | None = None,
        values: bool = False,
    ) -> None:
        super().__init__(dims)
        self.farthest = self.max_distance = whole(self, "max_distance", max_distance)
        std = number(self, "std", dims.d_head**-0.5 if std is None else std, 0)
        shape = (1 if shared else dims.n_layers, 2 * max_distance + 1, dims.d_head)
        self.table = nn.Parameter(torch.empty(shape))
        nn.init.normal_(self.table, std=std)
        self.value_table: nn.Parameter | None = None
        if values:
            self.value_table = nn.Parameter(torch.empty(shape))
            nn.init.normal_(self.value_table, std=std)

    def hooks(self, layer: int) -> frozenset[str]:
        return super().hooks(layer) - ({"output"} if self.value_table is None else set())

    def vectors_at(self, delta: Tensor) -> Tensor:
        return self.table[:, self._row(delta)]

    def output(self, site: Site, mixed: Tensor) -> Tensor:
        if self.value_table is None:
            return mixed
        assert site.read_weights is not None
        _, place = site.prepared
        table = of_layer(self.value_table, site.layer).to(mixed.dtype)
        return mixed + site.read_weights(partial(_mixed_vectors, table.flip(0), place))

    def _row(self, delta: Tensor) -> Tensor:
        """Number of the vector of whole distances up to `max_distance`: the paper counts key minus
        query.
        """
        return self.max_distance - delta.long()


def _mixed_vectors(table: Tensor, place: Tensor, weights: Tensor, queries: slice) -> Tensor:
    """Σ_j weight_ij · table[place_ij] of some queries, from weights (B, H, t, S'): (B, H, t, K).

    Weights of one offset are summed first, so that no vectors of pairs exist.
    """
    index = place[:, None, queries, : weights.shape[-1]].expand_as(weights)
    of_offset = weights.new_zeros(*weights.shape[:-1], len(table)).scatter_add(-1, index, weights)
    return of_offset.to(table.dtype) @ table
