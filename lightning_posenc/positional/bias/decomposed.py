"""A learned vector for each offset in rows, and one for each in columns.

Shapes: B sequences, T queries, S keys, H heads, K channels of a head, L layers, N offsets.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import number, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positional.bias.lookup import look_up
from lightning_posenc.positional.bias.on_a_plane import pairs_outside
from lightning_posenc.positional.layers import of_layer
from lightning_posenc.positional.resampling import Resize, ResizedTable
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places, offsets


class PlaceOnEachAxis(NamedTuple):
    """Where each pair finds its vectors.

    Args:
        low: (B|1, T, S, 2) numbers of those at the offset, or below it.
        share: (B|1, 1, T, S, 2) how far it lies towards the next; None if all are whole.
        outside: (B|1, 1, T, S), pairs of which one lies outside the grid; None if none does.
    """

    low: Tensor
    share: Tensor | None
    outside: Tensor | None


class DecomposedRelative(ResizedTable, PositionalEncoding):
    """Adds products of the query with a learned vector for the offset in rows, and in columns.

    logits_ij += q_i · R[row_i - row_j] + q_i · C[column_i - column_j], learned.

    The heads of a layer share the vectors. Source: Li et al. 2022, "MViTv2", arXiv:2112.01526,
    equations 3 and 4, without its third axis; the query is not divided by sqrt(K), as in the
    authors' code, ViTDet and SAM (Kirillov et al. 2023, arXiv:2304.02643). Deviations: offsets
    beyond the table share its last vector; between whole offsets there is a straight line; pairs
    with a token at (-1, -1), outside the grid, get nothing. A checkpoint's table of another size is
    stretched linearly when it is loaded, as in SAM.

    Args:
        dims: Sizes of the model.
        size: Rows and columns of the grid, 1 to 4096: the table holds offsets up to size - 1.
        shared: One table for all layers instead of one for each.
        std: Standard deviation of the vectors at initialisation; None takes 1 / sqrt(K); at least
            0.
    """

    shift_invariant = True

    source = Paper(
        "Li et al.",
        2022,
        "MViTv2: Improved Multiscale Vision Transformers for Classification and Detection",
        "2112.01526",
        "equations 3 and 4",
    )
    equation = r"\ell_{ij} \leftarrow \ell_{ij} + q_i \cdot R_{r_i - r_j} + q_i \cdot C_{c_i - c_j}"

    axes = 2
    resize: Resize = "resample"

    def __init__(
        self, dims: Dims, size: int = 14, shared: bool = False, std: float | None = None
    ) -> None:
        super().__init__(dims)
        self.size = whole(self, "size", size, most=4096)
        std = number(self, "std", dims.d_head**-0.5 if std is None else std, 0)
        layers = 1 if shared else dims.n_layers
        self.table = nn.Parameter(torch.empty(layers, 2, 2 * size - 1, dims.d_head))
        nn.init.normal_(self.table, std=std)

    def prepare(self, q_places: Places, k_places: Places) -> PlaceOnEachAxis:
        delta, outside = offsets(q_places, k_places), pairs_outside(q_places, k_places)
        place = delta.clamp(1 - self.size, self.size - 1) + self.size - 1
        if not place.is_floating_point():
            return PlaceOnEachAxis(place, None, outside)
        low = place.detach().floor().clamp(max=max(2 * self.size - 3, 0))
        return PlaceOnEachAxis(low.long(), (place - low).unsqueeze(1), outside)

    def bias(self, site: Site) -> Tensor:
        low, share, outside = site.prepared
        table = of_layer(self.table, site.layer).to(site.q.dtype)
        total: Tensor = torch.zeros((), dtype=site.q.dtype, device=site.q.device)
        for axis in range(2):
            products = site.q @ table[axis].mT  # (B, H, T, N)
            here = look_up(products, low[..., axis])
            if share is not None:
                following = (low[..., axis] + 1).clamp(max=2 * self.size - 2)
                there = look_up(products, following)
                here = torch.lerp(here, there, share[..., axis].to(here.dtype))
            total = total + here
        return total if outside is None else total.masked_fill(outside, 0.0)

    def size_of(self, table: Tensor) -> torch.Size:
        return table.shape[2:3]

    def _resizes(self, table: Tensor) -> bool:
        own = self.table.shape
        alike = table.dim() == 4 and (*table.shape[:2], table.shape[3]) == (*own[:2], own[3])
        return alike and table.shape != own

    def _resampled(self, table: Tensor) -> Tensor:
        n_vectors = self.table.shape[2]
        lines = table.float().flatten(0, 1).mT  # (2L, K, N)
        made = F.interpolate(lines, n_vectors, mode="linear").mT.unflatten(0, table.shape[:2])
        return made.contiguous().to(table.dtype)
