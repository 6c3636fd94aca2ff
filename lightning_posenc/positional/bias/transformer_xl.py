"""Transformer-XL's relative positions.

Shapes: B sequences, T queries, S keys, H heads, K channels of a head, D = H·K, L layers, N
distances.
"""

import torch
from torch import Tensor, nn

from lightning_posenc.checks import number, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import Site
from lightning_posenc.positional.bias.relative_vectors import RelativeVectors
from lightning_posenc.positional.layers import of_layer
from lightning_posenc.positional.rotary.scaling import checked_base, geometric
from lightning_posenc.positions.paper import Paper


class TransformerXL(RelativeVectors):
    """Adds logits of the query against sinusoids of the distance, with learned offsets.

    logits_ij = ((q_i + u) · k_j + (q_i + v) · R_{i-j}) / sqrt(K).

    R_d = W_R [sin(d·w), cos(d·w)] with the frequencies w of the sinusoidal encoding, a projection
    W_R per layer, and vectors u and v per head.

    Source: Dai et al. 2019, "Transformer-XL: Attentive Language Models Beyond a Fixed-Length
    Context", arXiv:1901.02860, section 3.3. In a bidirectional model, as in XLNet, distances to
    the future are negative. Deviation: u and v start at a scale at which position is heard.

    With integer positions R is computed for each distinct distance; with float positions for
    every pair, so that gradients with respect to positions exist.

    Args:
        dims: Sizes of the model; d_model must be even.
        base: Ratio between the longest wavelength and 2·pi; in (1, 1e30].
        shared: One u and one v for all layers instead of one for each.
        std: Standard deviation of u and v at initialisation. The vectors R start with entries of
            about 1, so that v · R_d / sqrt(K) starts at this size, in logits; at least 0.

    Raises:
        ValueError: If d_model is odd.
    """

    source = Paper(
        "Dai et al.",
        2019,
        "Transformer-XL: Attentive Language Models Beyond a Fixed-Length Context",
        "1901.02860",
        "section 3.3",
    )
    equation = (
        r"\ell_{ij} = \frac{(q_i + u) \cdot k_j + (q_i + v) \cdot R_{i-j}}{\sqrt K}, \quad "
        r"R_\Delta = W_R \left[ \sin(\Delta\, w),\; \cos(\Delta\, w) \right]"
    )

    def __init__(
        self, dims: Dims, base: float = 10000.0, shared: bool = False, std: float = 1.0
    ) -> None:
        super().__init__(dims)
        if dims.d_model % 2:
            raise wrong(self, "d_model", dims.d_model, "be even: a sine goes with a cosine")
        self.base = checked_base(self, base)
        width = dims.d_model
        self.projection = nn.Parameter(torch.empty(dims.n_layers, dims.n_heads, dims.d_head, width))
        nn.init.normal_(self.projection, std=(2 / width) ** 0.5)
        layers = 1 if shared else dims.n_layers
        self.u = nn.Parameter(torch.empty(layers, dims.n_heads, dims.d_head))
        self.v = nn.Parameter(torch.empty(layers, dims.n_heads, dims.d_head))
        for vectors in (self.u, self.v):
            nn.init.normal_(vectors, std=number(self, "std", std, 0))

    def vectors_at(self, delta: Tensor) -> Tensor:
        """Sines, then cosines, of distances: (1, ..., D), in float32; `products` projects them."""
        angles = delta.unsqueeze(-1) * geometric(self.base, self.dims.d_model, delta.device)
        return torch.cat((angles.sin(), angles.cos()), dim=-1).unsqueeze(0)

    def bias(self, site: Site) -> Tensor:
        q, scale = site.q, self.dims.d_head**-0.5
        k = site.k.repeat_interleave(q.shape[1] // site.k.shape[1], dim=1)
        u = of_layer(self.u, site.layer).float().unsqueeze(1) * scale  # (H, 1, K)
        with torch.autocast(q.device.type, enabled=False):
            of_key = u @ k.float().transpose(-2, -1)  # (B, H, 1, S)
            return of_key + super().bias(site)

    def products(self, q: Tensor, vectors: Tensor, layer: int) -> Tensor:
        """(q_i + v) · R_d / sqrt(K): what does not read the queries in float32.

        R is scaled before it meets them, so that float16 holds the products.
        """
        v = of_layer(self.v, layer).float().unsqueeze(1)  # (H, 1, K)
        projection = self.projection[layer].float() * self.dims.d_head**-0.5  # (H, K, D)
        if vectors.dim() == 2:
            relative = projection @ vectors.t()  # (H, K, N)
            return q @ relative.to(q.dtype) + v @ relative
        read, of_v = q @ projection.to(q.dtype), (v @ projection).squeeze(1)
        waves = vectors.expand(len(q), -1, -1, -1)
        scores = torch.einsum("bhtd,btsd->bhts", read, waves.to(q.dtype))
        return scores + torch.einsum("hd,btsd->bhts", of_v, waves)
