"""Rotary position embedding by learned frequencies.

Shapes: L layers, H heads, n pairs of channels.
"""

import torch
from torch import Tensor, nn

from lightning_posenc.dims import Dims
from lightning_posenc.positional.rotary.base import Layout, Rotary
from lightning_posenc.positional.rotary.scaling import Spectrum, checked_base, geometric
from lightning_posenc.positions.paper import Paper


class LearnedRoPE(Rotary):
    """Turns pair i of a query or key at position p by p·θ_i, where θ_i is learned.

    Source: Heo et al. 2024, "Rotary Position Embedding for Vision Transformer", arXiv:2403.13298,
    section 3.3, which learns frequencies for each head and layer; `learned_freq` in
    rotary-embedding-torch, which starts as here. Deviation: one axis, and θ_i starts at RoPE's
    base^(-2i/K), where the paper's start at random directions in the plane. Logarithmic, it is
    LeRoPE (arXiv:2607.10134; Mistral-Large-4, there shared by all layers): θ_i·e^α_i, α = 0 at
    first, so that slow pairs learn in proportion to what they are.

    Args:
        dims: Sizes of the model; the head size must be even.
        base: Of the frequencies at initialisation; in (1, 1e30].
        per_head: Frequencies of its own for each head.
        shared: The same for all layers instead of some for each.
        layout: Which channels make a pair: "half" or "interleaved", as in `Rotary`.
        logarithmic: Learn α_i, by which θ_i = base^(-2i/K)·e^α_i, in place of θ_i.

    Raises:
        ValueError: If the head size is odd.
    """

    source = Paper(
        "Heo et al.",
        2024,
        "Rotary Position Embedding for Vision Transformer",
        "2403.13298",
        "section 3.3",
    )
    equation = (
        r"\ell_{ij} = \frac{q_i \cdot R_{j-i} k_j}{\sqrt K}, \quad "
        r"R_\Delta = \operatorname{diag}\!\left( e^{\mathrm{i} \Delta \theta_0}, e^{\mathrm{i}"
        r" \Delta \theta_1}, \dots \right),"
        r"\quad \theta_i \text{ learned}"
    )

    def __init__(
        self,
        dims: Dims,
        base: float = 10000.0,
        per_head: bool = False,
        shared: bool = False,
        layout: Layout = "half",
        logarithmic: bool = False,
    ) -> None:
        super().__init__(dims, layout)
        self.base = checked_base(self, base)
        layers, self.heads = 1 if shared else dims.n_layers, dims.n_heads if per_head else 1
        start = geometric(self.base, dims.d_head, torch.get_default_device())
        start = start.repeat(layers, self.heads, 1).to(torch.get_default_dtype())
        self.logarithmic = logarithmic
        if logarithmic:
            self.alpha = nn.Parameter(torch.zeros_like(start))
        else:
            self.inv_freq = nn.Parameter(start)

    def keys_stay(self, layer: int) -> bool:
        # Turned by each head, keys that heads share would be one for each, which takes memory.
        return super().keys_stay(layer) and self.heads == 1

    def spectrum(self, positions: Tensor) -> Spectrum:
        if self.logarithmic:
            start = geometric(self.base, self.dims.d_head, positions.device)
            frequencies = start * self.alpha.float().exp()
        else:
            frequencies = self.inv_freq.float()
        return Spectrum(frequencies[:, None, :, None])  # (L|1, 1, H|1, 1, n)
