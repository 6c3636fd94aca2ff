"""Sines and cosines whose frequencies are learned."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_posenc.checks import number, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.positional.absolute.base import Absolute
from lightning_posenc.positional.rotary.scaling import checked_base
from lightning_posenc.positions.paper import Paper


class LearnableFrequencies(Absolute):
    """Adds sines and cosines of the position, whose frequencies are learned.

    PE(p, 2i) = sin(p · ω_i), PE(p, 2i + 1) = cos(p · ω_i), times `scale`; every ω_i is learned.

    They start as those of `Sinusoidal`, ω_i = base^(-2i/D).

    Source: Kazemi et al. 2019, "Time2Vec: Learning a Vector Representation of Time",
    arXiv:1907.05321.

    Deviation: no linear term; phases stay at those of a sine and a cosine, as in Vaswani et al.
    2017. What is learned is log ω: a step of the optimizer changes each frequency by a share of
    itself, where the same step added to ω would be a thousand times the lowest of them.

    Args:
        dims: Sizes of the model; d_model must be even.
        base: Ratio between the longest wavelength and 2·pi, at initialisation; in (1, 1e30].
        layers: Before which blocks to add, counted from 0.
        scale: Amplitude; None takes `dims.embed_std`.
        dropout: Probability, in training, of a token getting no position at all, in [0, 1).

    Raises:
        ValueError: If d_model is odd.
    """

    source = Paper(
        "Kazemi et al.", 2019, "Time2Vec: Learning a Vector Representation of Time", "1907.05321"
    )
    equation = (
        r"x_p \leftarrow x_p + s \cdot \mathrm{PE}(p), \quad "
        r"\mathrm{PE}(p)_{2i} = \sin(p\,\omega_i), \quad \mathrm{PE}(p)_{2i+1} = \cos(p\,\omega_i),"
        r"\quad \omega_i \text{ learned}"
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
        self.scale = number(self, "scale", dims.embed_std if scale is None else scale)
        self.log_freq = nn.Parameter(log_frequencies(self, dims.d_model, base))

    def vectors(self, positions: Tensor) -> Tensor:
        angles = positions.float().unsqueeze(-1) * self.log_freq.float().exp()  # (B|1, T, D/2)
        return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2) * self.scale


def log_frequencies(of: object, width: int, base: float) -> Tensor:
    """Logarithms of the frequencies base^(-2i/width), i < width/2.

    Raises:
        ValueError: If the width is odd or the base not positive.
    """
    if width % 2:
        raise wrong(of, "d_model", width, "be even: channels are taken in pairs")
    step = -math.log(checked_base(of, base)) / width
    return (torch.arange(0, width, 2).float() * step).to(torch.get_default_dtype())
