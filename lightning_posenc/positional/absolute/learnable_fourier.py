"""Learned Fourier features of a position on any number of axes."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import MOST_WIDTH, number, whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.positional.absolute.base import Absolute
from lightning_posenc.positions.paper import Paper

GELU_POWER = 0.4252  # E[GELU(z)²] of a standard normal z


class LearnableFourier(Absolute):
    """Adds what a small network makes of a position's learned sines and cosines.

    x_p + GELU(r W1 + b1) W2 + b2, where r = [cos(W p) ‖ sin(W p)] / sqrt(F); all is learned.

    Source: Li et al. 2021, "Learnable Fourier Features for Multi-Dimensional Spatial Positional
    Encoding", arXiv:2106.02795, equations 2 and 6, algorithm 1.

    Deviation: one group of axes (G = 1). The MLP starts so that vectors are of the size of the
    token embeddings, since smaller ones hardly train; the paper says nothing of its start.

    Args:
        dims: Sizes of the model.
        axes: Numbers in a position, at most 64: 1 for sequences, 2 for images, 3 for videos.
        n_features: F, cosines and sines together, even; None takes the even number at d_model.
        d_hidden: Width of the MLP, at least 1.
        gamma: Frequencies start at N(0, 1/gamma²): positions about gamma apart differ well; in
            [1e-6, 1e6].
        layers: Before which blocks to add, counted from 0.
        dropout: Probability, in training, of a token getting no position at all, in [0, 1).

    Raises:
        ValueError: If a size is not positive or F odd; on positions with other axes.
    """

    source = Paper(
        "Li et al.",
        2021,
        "Learnable Fourier Features for Multi-Dimensional Spatial Positional Encoding",
        "2106.02795",
        "equations 2 and 6, algorithm 1",
    )
    equation = (
        r"x_p \leftarrow x_p + \mathrm{GELU}(r W_1 + b_1) W_2 + b_2, \quad "
        r"r = \frac{1}{\sqrt F} \left[ \cos(W p) \,\Vert\, \sin(W p) \right]"
    )

    axes: int

    def __init__(
        self,
        dims: Dims,
        axes: int = 1,
        n_features: int | None = None,
        d_hidden: int = 32,
        gamma: float = 10.0,
        layers: Sequence[int] = (0,),
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dims, layers, dropout)
        n_features = max(dims.d_model // 2 * 2, 2) if n_features is None else n_features
        self.axes = whole(self, "axes", axes, most=64)
        whole(self, "d_hidden", d_hidden, most=MOST_WIDTH)
        number(self, "gamma", gamma, 1e-6)
        if whole(self, "n_features", n_features, 2, MOST_WIDTH) % 2:
            raise wrong(self, "n_features", n_features, "be even: cosines and sines in pairs")
        self.freq = nn.Parameter(torch.randn(n_features // 2, axes) / gamma)
        # |r|² = 1/2, so that the hidden layer starts at unit variance.
        self.hidden_weight = nn.Parameter(torch.randn(d_hidden, n_features) * math.sqrt(2))
        self.hidden_bias = nn.Parameter(torch.zeros(d_hidden))
        std = dims.embed_std / math.sqrt(GELU_POWER * d_hidden)
        self.out_weight = nn.Parameter(torch.randn(dims.d_model, d_hidden) * std)
        self.out_bias = nn.Parameter(torch.zeros(dims.d_model))

    def vectors(self, positions: Tensor) -> Tensor:
        points = positions.unsqueeze(-1) if positions.dim() == 2 else positions
        with torch.autocast(points.device.type, enabled=False):
            angles = points.float() @ self.freq.float().t()
            features = torch.cat((angles.cos(), angles.sin()), dim=-1)
            features = features * features.shape[-1] ** -0.5
            hidden = F.linear(features, self.hidden_weight.float(), self.hidden_bias.float())
            return F.linear(F.gelu(hidden), self.out_weight.float(), self.out_bias.float())
