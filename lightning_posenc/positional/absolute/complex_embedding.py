"""A token as a complex number whose phase is its position."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_posenc.dims import Dims
from lightning_posenc.positional.absolute.base import Absolute
from lightning_posenc.positional.absolute.learnable_frequencies import log_frequencies
from lightning_posenc.positions.paper import Paper


class ComplexEmbedding(Absolute):
    """Turns pairs of the residual stream's channels by angles that grow with position.

    z_i · exp(i(ω_i p + θ_i)) for z_i = x_2i + i·x_{2i+1} of the residual stream; ω, θ learned.

    Source: Wang et al. 2020, "Encoding Word Order in Complex Embeddings", arXiv:1912.12333.

    Deviation: in the paper amplitude, frequency and phase belong to a word and a channel, and the
    network above is complex. Here the token's embedding gives amplitude and its own phase (a pair
    of channels), ω and θ are shared by all tokens, and the network is real. ω is learned as its
    logarithm and starts geometric, θ at zero.

    Args:
        dims: Sizes of the model; d_model must be even.
        base: Ratio between the longest wavelength and 2·pi, at initialisation; in (1, 1e30].
        layers: Before which blocks to turn, counted from 0.
        dropout: Probability, in training, of a token not being turned, in [0, 1); the change that
            the others undergo grows by 1 / (1 - dropout).

    Raises:
        ValueError: If d_model is odd.
    """

    source = Paper("Wang et al.", 2020, "Encoding Word Order in Complex Embeddings", "1912.12333")
    equation = (
        r"z_i \leftarrow z_i \, e^{\mathrm{i}(\omega_i p + \theta_i)}, \quad "
        r"z_i = x_{2i} + \mathrm{i}\, x_{2i+1}"
    )

    def __init__(
        self,
        dims: Dims,
        base: float = 10000.0,
        layers: Sequence[int] = (0,),
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dims, layers, dropout)
        self.log_freq = nn.Parameter(log_frequencies(self, dims.d_model, base))
        self.phase = nn.Parameter(torch.zeros(dims.d_model // 2))

    def vectors(self, positions: Tensor) -> Tensor:
        angles = positions.float().unsqueeze(-1) * self.log_freq.float().exp()
        angles = angles + self.phase.float()
        return torch.stack((angles.cos(), angles.sin()), dim=-1).flatten(-2)

    def join(self, x: Tensor, vectors: Tensor, layer: int) -> Tensor:
        cos, sin = vectors[..., ::2], vectors[..., 1::2]
        wide = x.float()
        real, imaginary = wide[..., ::2], wide[..., 1::2]
        turned = (real * cos - imaginary * sin, real * sin + imaginary * cos)
        change = torch.stack(turned, dim=-1).flatten(-2) - wide
        return (wide + self.dropped(change)).to(x.dtype)
