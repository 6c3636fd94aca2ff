"""Wavelets of distance, one for each channel of the query."""

import torch
from torch import Tensor

from lightning_posenc.checks import whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.positional.bias.relative_vectors import RelativeVectors
from lightning_posenc.positions.paper import Paper


class WaveletBias(RelativeVectors):
    """Adds logits of the query against fixed wavelets of the distance.

    logits_ij = q_i · (k_j + p(i - j)) / sqrt(K), where each channel of p is a Ricker wavelet.

    p(t) = (1 - u^2) · exp(-u^2 / 2) with u = (t - b) / a. The channels take all pairs of a scale
    a in {1, 2, 4, …, 2^(s-1)} and a shift b in {0, 1, …, K/s - 1}. Nothing is learned.

    Source: Oka et al. 2025, "Wavelet-based Positional Representation for Long Context",
    arXiv:2502.02004, equations 10 to 14. The paper does not order the channels: here the shift
    changes fastest.

    Args:
        dims: Sizes of the model.
        n_scales: s, a divisor of the head size K. None takes the greatest divisor up to sqrt(K):
            8 for the paper's 128.

    Raises:
        ValueError: If K is no multiple of `n_scales`; in a bidirectional model also if the only
            shift is 0, where all wavelets are symmetric.
    """

    source = Paper(
        "Oka et al.",
        2025,
        "Wavelet-based Positional Representation for Long Context",
        "2502.02004",
        "equations 10-14",
    )
    equation = (
        r"\ell_{ij} = \frac{q_i \cdot \left( k_j + \psi(i - j) \right)}{\sqrt K}, \quad "
        r"\psi_{a,b}(t) = (1 - u^2)\, e^{-u^2/2}, \quad u = \frac{t - b}{a}"
    )

    def __init__(self, dims: Dims, n_scales: int | None = None) -> None:
        super().__init__(dims)
        width = dims.d_head
        if n_scales is None:
            n_scales = max(n for n in range(1, width + 1) if width % n == 0 and n * n <= width)
        if width % whole(self, "n_scales", n_scales):
            allowed = f"divide the head size {width}, so that every scale gets as many shifts"
            raise wrong(self, "n_scales", n_scales, allowed)
        if n_scales == width and not dims.causal:
            raise ValueError(
                f"WaveletBias: n_scales={n_scales} leaves a head of size {width} the shift 0 "
                "alone, which cannot tell left from right; take fewer scales or larger heads"
            )
        self.n_scales = n_scales

    def vectors_at(self, delta: Tensor) -> Tensor:
        n_shifts = self.dims.d_head // self.n_scales
        scales = 2 ** torch.arange(self.n_scales, device=delta.device).float()
        shifts = torch.arange(n_shifts, device=delta.device)
        u = (delta[..., None, None] - shifts) / scales[:, None]
        return ((1 - u.square()) * torch.exp(-u.square() / 2)).flatten(-2).unsqueeze(0)
