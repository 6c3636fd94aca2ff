"""Fixed sines and cosines."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_posenc.checks import number, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.positional.absolute.base import Absolute
from lightning_posenc.positional.rotary.scaling import checked_base, geometric
from lightning_posenc.positions.paper import Paper


class Sinusoidal(Absolute):
    """Adds sines and cosines of the position at fixed frequencies.

    PE(p, 2i) = sin(p · base^(-2i/D)), PE(p, 2i + 1) = cos(p · base^(-2i/D)), times `scale`.

    Source: Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762, section 3.5, where
    token embeddings are scaled to unit size: here the sinusoids are scaled to the embeddings'.

    Args:
        dims: Sizes of the model; d_model must be even.
        base: Ratio between the longest wavelength and 2·pi; in (1, 1e30].
        layers: Before which blocks to add, counted from 0.
        scale: Amplitude; None takes `dims.embed_std`.
        dropout: Probability, in training, of a token getting no position at all, in [0, 1).

    Raises:
        ValueError: If d_model is odd.
    """

    source = Paper("Vaswani et al.", 2017, "Attention Is All You Need", "1706.03762", "section 3.5")
    equation = (
        r"x_p \leftarrow x_p + s \cdot \mathrm{PE}(p), \quad "
        r"\mathrm{PE}(p)_{2i} = \sin(p\,\theta_i), \quad \mathrm{PE}(p)_{2i+1} = \cos(p\,\theta_i),"
        r"\quad \theta_i = \mathrm{base}^{-2i/D}"
    )

    def __init__(
        self,
        dims: Dims,
        base: float = 10000.0,
        layers: Sequence[int] = (0,),
        scale: float | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dims, layers, dropout)
        if dims.d_model % 2:
            raise wrong(self, "d_model", dims.d_model, "be even: a sine goes with a cosine")
        self.base = checked_base(self, base)
        self.scale = number(self, "scale", dims.embed_std if scale is None else scale)

    def vectors(self, positions: Tensor) -> Tensor:
        inv_freq = geometric(self.base, self.dims.d_model, positions.device)
        angles = positions.float().unsqueeze(-1) * inv_freq  # (B|1, T, D/2)
        return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2) * self.scale
