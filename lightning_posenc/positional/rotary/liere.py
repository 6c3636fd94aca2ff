"""Rotations in more than planes: exponentials of learned generators.

Shapes: B sequences, T tokens, A axes, H heads, K channels of a head, C = K/b blocks of b channels,
L layers.
"""

import torch
from torch import Tensor, nn

from lightning_posenc.checks import whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positional.layers import of_layer
from lightning_posenc.positional.rotary.exponential import exponential
from lightning_posenc.positional.rotary.scaling import checked_base
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places


class LieRE(PositionalEncoding):
    """Multiplies queries and keys at position p by exp(Σ_a p_a·G_a) with learned skew G_a.

    G_a is block-diagonal. On one axis, and whenever the G_a commute, the product of a query and a
    key depends on the difference of their positions alone; else nearly, for near ones. Source:
    Ostmeier et al. 2024, "LieRE: Lie Rotational Positional Encodings", arXiv:2406.10322, sections
    4 and 4.1. Deviation: entries start at N(0, 1/b), those of block c times base^(-c/C), made for
    positions that count tokens, where the paper's are uniform in [0, 2·pi] for positions that
    fill [0, 1].

    Args:
        dims: Sizes of the model; `block` must divide the head size.
        axes: A, how many numbers a position has, 1 to 64.
        block: b, how many channels turn together, at least 2; 2 is RoPE with learned frequencies.
        base: Ratio between the frequencies of the first block and (nearly) the last one's; in (1,
            1e30].
        per_head: Generators of its own for each head.
        per_layer: Generators of its own for each layer.

    Raises:
        ValueError: If `block` does not fit or positions have other axes.
    """

    source = Paper(
        "Ostmeier et al.",
        2024,
        "LieRE: Lie Rotational Positional Encodings",
        "2406.10322",
        "sections 4 and 4.1",
    )
    equation = (
        r"\ell_{ij} = \frac{(R_{p_i} q_i) \cdot (R_{p_j} k_j)}{\sqrt K}, \quad "
        r"R_p = \exp\!\left( \sum_a p_a G_a \right), \quad G_a = -G_a^{\top} \text{ learned}"
    )

    axes: int

    def __init__(
        self,
        dims: Dims,
        axes: int = 1,
        block: int = 8,
        base: float = 10000.0,
        per_head: bool = False,
        per_layer: bool = False,
    ) -> None:
        super().__init__(dims)
        self.axes = whole(self, "axes", axes, most=64)
        self.block = whole(self, "block", block, 2)
        if dims.d_head % block:
            allowed = f"divide the head size {dims.d_head}: change block, d_model or n_heads"
            raise wrong(self, "block", block, allowed)
        layers, heads = dims.n_layers if per_layer else 1, dims.n_heads if per_head else 1
        blocks = dims.d_head // block
        share = torch.arange(blocks).float() / blocks
        scale = block**-0.5 * checked_base(self, base) ** -share
        # The entries above the diagonals.
        start = torch.randn(layers, axes, heads, blocks, block * (block - 1) // 2)
        self.generators = nn.Parameter(start * scale[:, None].to(start.dtype))

    @property
    def shift_invariant(self) -> bool:  # type: ignore[override]
        """On one axis; the generators of several do not commute."""
        return self.axes == 1

    def prepare(self, q_places: Places, k_places: Places) -> tuple[Tensor, Tensor]:
        """Rotations (L|1, B|1, H|1, T, C, b, b) of queries and of keys."""
        q_pos, k_pos = q_places.values, k_places.values
        upper = self.generators.double()
        skew = upper.new_zeros(*upper.shape[:-1], self.block, self.block)
        row, column = torch.triu_indices(self.block, self.block, 1, device=upper.device)
        skew[..., row, column] = upper
        skew = skew - skew.mT  # (L|1, A, H|1, C, b, b)
        of_queries = self._rotations(skew, q_pos)
        return of_queries, of_queries if k_pos is q_pos else self._rotations(skew, k_pos)

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        of_queries, of_keys = site.prepared
        q, k = turned(site.q, of_layer(of_queries, site.layer)), site.k
        return q, turned(k, of_layer(of_keys, site.layer))

    def _rotations(self, skew: Tensor, positions: Tensor) -> Tensor:
        positions = positions.double()
        if self.axes == 1:  # one decomposition serves all positions
            along = skew[:, 0, None, :, None]  # (L|1, 1, H|1, 1, C, b, b)
            times = positions.reshape(positions.shape[:2])[:, None, :, None]  # (B|1, 1, T, 1)
        else:
            along = torch.einsum("lahcij,bta->lbhtcij", skew, positions)
            times = along.new_ones(())
        return exponential(along, times).float()


def turned(x: Tensor, by: Tensor) -> Tensor:
    """Blocks of channels of (B, H, T, K), times matrices (B|1, H|1, T, C, b, b), in float32.

    Where query heads differ, keys (B, G, T, K) that they share become one for each.
    """
    if by.shape[1] > x.shape[1]:
        x = x.repeat_interleave(by.shape[1] // x.shape[1], dim=1)
    with torch.autocast(x.device.type, enabled=False):
        blocks = x.float().unflatten(-1, by.shape[-3:-1])
        return torch.einsum("bhtcij,bhtcj->bhtci", by, blocks).flatten(-2).to(x.dtype)
