"""Polar coordinate position embedding.

Shapes: B sequences, T queries, S keys, H heads, K channels of a head, L layers.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import one_of
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positional.layers import of_layer
from lightning_posenc.positional.rotary.scaling import checked_base
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places


class PoPE(PositionalEncoding):
    """Content sets how long queries and keys are, position alone sets their angle.

    logits_ij = Σ_c softplus(q_ic)·softplus(k_jc)·cos(delta·θ_c - δ_c) / sqrt(K).

    Content is in the magnitudes alone, position in the phases alone, with θ_c = base^(-c/K) for
    each of the K channels and a learned phase δ_c for each channel, head and layer. Source:
    Gopalakrishnan et al. 2025, "Decoupling the 'What' and 'Where' With Polar Coordinate Positional
    Embeddings", arXiv:2509.10534, section 3. Deviation: δ stands on the queries, the same for the
    product, so that grouped keys serve all their queries; and as phases are periodic, it is not
    clamped to [-2·pi, 0]. Queries and keys become twice as wide.

    Args:
        dims: Sizes of the model.
        base: Ratio between the longest wavelength and 2·pi, nearly; in (1, 1e30].
        phases: δ at initialisation: zeros, which extrapolates better, or uniform in [-2·pi, 0].
            None takes zeros in a causal model, uniform in a bidirectional one, for with zeros the
            past looks like the future.
        shared: One δ for all layers instead of one for each.
    """

    shift_invariant = True

    source = Paper(
        "Gopalakrishnan et al.",
        2025,
        "Decoupling the 'What' and 'Where' With Polar Coordinate Positional Embeddings",
        "2509.10534",
        "section 3",
    )
    equation = (
        r"\ell_{ij} = \frac{1}{\sqrt K} \sum_{c} \operatorname{softplus}(q_{ic})\,"
        r" \operatorname{softplus}(k_{jc})"
        r" \cos(\Delta\,\theta_c - \delta_c), \quad \theta_c = \mathrm{base}^{-c/K}"
    )

    def __init__(
        self,
        dims: Dims,
        base: float = 10000.0,
        phases: Literal["zeros", "uniform"] | None = None,
        shared: bool = False,
    ) -> None:
        super().__init__(dims)
        self.base = checked_base(self, base)
        layers = 1 if shared else dims.n_layers
        self.phase = nn.Parameter(torch.zeros(layers, dims.n_heads, dims.d_head))
        one_of(self, "phases", phases, ("zeros", "uniform", None))
        if phases == "uniform" or (phases is None and not dims.causal):
            nn.init.uniform_(self.phase, -2 * math.pi, 0)

    def prepare(self, q_places: Places, k_places: Places) -> tuple[Tensor, Tensor, Tensor]:
        """Angles of queries (B|1, 1, T, K), cosines and sines of keys (B|1, 1, S, K)."""
        q_pos, k_pos = q_places.values, k_places.values
        width = self.dims.d_head
        theta = self.base ** (-torch.arange(width, device=q_pos.device).float() / width)
        of_queries, of_keys = (
            positions.float()[:, None, :, None] * theta for positions in (q_pos, k_pos)
        )
        return of_queries, of_keys.cos(), of_keys.sin()

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        angles, cos, sin = site.prepared
        phase = of_layer(self.phase, site.layer).float()
        angles = angles - phase[:, None]
        return polar(site.q, angles.cos(), angles.sin()), polar(site.k, cos, sin)


def polar(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Magnitudes softplus(x) at angles: real parts, then imaginary parts. (…, K) to (…, 2K)."""
    magnitude = F.softplus(x.float())
    return torch.cat((magnitude * cos, magnitude * sin), dim=-1).to(x.dtype)
