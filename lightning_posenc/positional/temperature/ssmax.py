"""Scalable softmax."""

import torch
from torch import Tensor, nn

from lightning_posenc.checks import number
from lightning_posenc.dims import Dims
from lightning_posenc.positional.temperature.base import QueryTemperature
from lightning_posenc.positions.paper import Paper


class SSMax(QueryTemperature):
    """Queries times s·ln n + b, with s and b learned for each head of each layer.

    The largest weight then need not vanish as the number n of keys grows. Source: Nakanishi 2025,
    "Scalable-Softmax Is Superior for Attention", arXiv:2501.19399; Mistral-Large-4 has it with b.

    Args:
        dims: Sizes of the model.
        scale: What s starts from, in (0, 100]; as in the package scalable-softmax.
        learned_bias: Whether there is b, which starts from 0.

    Raises:
        ValueError: If scale is out of range.

    Example:
        >>> from lightning_posenc import Dims, Encoder
        >>> from lightning_posenc.positional import Chain, RoPE, SSMax
        >>> encoder = Encoder(Dims(64, 4, 2, causal=True), Chain.of(RoPE, SSMax))
    """

    source = Paper("Nakanishi", 2025, "Scalable-Softmax Is Superior for Attention", "2501.19399")
    equation = r"q_n \leftarrow q_n \left( s_h \ln n + b_h \right)"

    def __init__(self, dims: Dims, scale: float = 0.43, learned_bias: bool = False) -> None:
        super().__init__(dims)
        start = number(self, "scale", scale, most=100, above=0)
        self.scale = nn.Parameter(torch.full((dims.n_layers, dims.n_heads), start))
        self.offset = (
            nn.Parameter(torch.zeros(dims.n_layers, dims.n_heads)) if learned_bias else None
        )

    def temperature(self, n: Tensor, layer: int) -> Tensor:
        factor = self.scale[layer].float()[:, None] * n.log().unsqueeze(1)
        return factor if self.offset is None else factor + self.offset[layer].float()[:, None]
