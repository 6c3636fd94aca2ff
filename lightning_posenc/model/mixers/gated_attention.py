"""Attention whose heads are gated by what reads them.

Shapes: B sequences, T tokens, H heads, K channels of a head, D = H·K.
"""

from typing import Any

from torch import Tensor, nn

from lightning_posenc.dims import Dims
from lightning_posenc.model.mixers.multi_head import MultiHead
from lightning_posenc.positions.paper import Paper


class GatedAttention(MultiHead):
    """out(sigmoid(gate(x)) ⊙ Attention(x)): a token may take nothing from a head.

    It needs no sink, for which attention otherwise takes the first token. Source: Qiu et al. 2025,
    "Gated Attention for Large Language Models", arXiv:2505.06708, equation 5 at position G1, a gate
    for each channel of each head.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0, which the hooks are told.
        options: Any of `Attention`.
    """

    source = Paper(
        "Qiu et al.", 2025,
        "Gated Attention for Large Language Models: Non-linearity, Sparsity, and "
        "Attention-Sink-Free",
        "2505.06708", "equation 5, G1",
    )  # fmt: skip
    equation = r"o = W_o \left( \sigma(W_g x) \odot \mathrm{Attention}(x) \right)"

    def __init__(self, dims: Dims, layer: int, **options: Any) -> None:
        super().__init__(dims, layer, **options)
        self.gate = nn.Linear(dims.d_model, dims.d_model, bias=self.qkv.bias is not None)

    def join(self, x: Tensor, heads: Tensor) -> Tensor:
        return self.gate(x).sigmoid() * heads.flatten(-2)
