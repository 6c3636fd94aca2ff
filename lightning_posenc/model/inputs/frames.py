"""Frames of audio, or of anything else that is measured many times a second.

Shapes: B sequences, N frames, F features of a frame, T tokens, D = d_model.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import MOST_WIDTH, one_of, whole
from lightning_posenc.dims import Dims
from lightning_posenc.model.inputs.base import Inputs


class Frames(Inputs):
    """A linear map of features, after convolutions over time that make one token of 1, 2 or 4
    frames.

    Each halving is relu(conv(x)) of three frames at every second one, and N frames become ⌈N / 2⌉;
    beyond a sequence's end there are zeros, whatever its padding holds. Source: the convolutional
    subsampling of Gulati et al. 2020, "Conformer: Convolution-augmented Transformer for Speech
    Recognition", arXiv:2005.08100, section 2. Deviation: convolutions over time alone, whose
    channels are the features, as in Radford et al. 2022, "Whisper", arXiv:2212.04356, section 2.2.

    Args:
        dims: Sizes of the model.
        vocab_size: Nothing: there are no ids.
        n_features: F, at least 1; best of mean 0 and variance 1.
        subsampling: Frames that become one token: 1, 2 or 4.

    Raises:
        ValueError: On what is not (B, N, F), N at least 1.
    """

    reads_lengths = True

    def __init__(
        self,
        dims: Dims,
        vocab_size: int | None = None,
        n_features: int = 80,
        subsampling: int = 4,
    ) -> None:
        super().__init__(dims, vocab_size)
        self.n_features = whole(self, "n_features", n_features, most=MOST_WIDTH)
        self.subsampling = one_of(self, "subsampling", subsampling, (1, 2, 4))
        widths = [n_features] + [dims.d_model] * (subsampling.bit_length() - 1)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, dims.d_model, kernel_size=3, stride=2, padding=1)
            for width in widths[:-1]
        )
        self.project = nn.Linear(widths[-1], dims.d_model)
        # Features of unit variance stay so (He et al. 2015, arXiv:1502.01852, equation 10), and
        # become tokens at the scale at which encodings start.
        for layer in (*self.convolutions, self.project):
            gain = dims.embed_std if layer is self.project else 2**0.5
            nn.init.normal_(layer.weight, std=gain / layer.weight[0].numel() ** 0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map features (B, N, F), of (B,) true lengths, to (B, T, D)."""
        shape = tuple(tokens.shape)
        if not tokens.is_floating_point() or len(shape) != 3 or shape[2] != self.n_features:
            raise ValueError(
                f"Frames: features must be (B, N, n_features={self.n_features}) of a floating "
                f"dtype, got {shape} of {tokens.dtype}"
            )
        if not shape[1]:
            raise ValueError("Frames: there are no frames: give at least one")
        x = tokens.mT  # (B, F, N)
        for convolution in self.convolutions:
            if lengths is not None:
                real = torch.arange(x.shape[-1], device=x.device) < lengths.unsqueeze(1)
                x = torch.where(real.unsqueeze(1), x, 0)
                lengths = _halved(lengths)
            x = F.relu(convolution(x))
        return self.project(x.mT)

    def lengths(self, lengths: Tensor) -> Tensor:
        for _ in self.convolutions:
            lengths = _halved(lengths)
        return lengths


def _halved(lengths: Tensor) -> Tensor:
    return (lengths + 1) // 2
