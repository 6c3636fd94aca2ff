"""The attention that was there before the Transformer.

Shapes: B sequences, T queries, t of them at a time, S keys, H heads, G key-value heads,
K channels of a head, D = H·K.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_posenc.dims import Dims
from lightning_posenc.model.kernels.by_rows import by_rows
from lightning_posenc.model.mixers.base import Growth
from lightning_posenc.model.mixers.multi_head import MultiHead
from lightning_posenc.positions.paper import Paper

_ENTRIES = 2**22  # of (B, H, t, S, K) at once


class Additive(MultiHead):
    """softmax(u · tanh(W_q x_i + W_k x_j)): a query and a key are added, not multiplied.

    Source: Bahdanau, Cho, Bengio 2015, "Neural Machine Translation by Jointly Learning to Align and
    Translate", arXiv:1409.0473, appendix A.1.2, in every head by itself. T tokens cost O(T²·D)
    time, K tanh for each pair and head, and O(T²) memory: the sums exist for a few queries at a
    time, and are computed anew in the backward pass. An encoding may add to the logits; a rotation
    is refused, for it says how far apart tokens are by a product alone.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0, which the hooks are told.
        options: Any of `Attention`.
    """

    hooks = MultiHead.hooks - {"transform"}
    source = Paper(
        "Bahdanau, Cho, Bengio", 2015,
        "Neural Machine Translation by Jointly Learning to Align and Translate", "1409.0473",
        "appendix A.1.2",
    )  # fmt: skip
    equation = (
        r"o_i = \sum_j \operatorname{softmax}_j\!\left( u \cdot \tanh(W_q x_i + W_k x_j) \right)"
        r" v_j"
    )
    growth = Growth(time="T²", memory="T²")

    def __init__(self, dims: Dims, layer: int, **options: Any) -> None:
        super().__init__(dims, layer, **options)
        self.u = nn.Parameter(torch.randn(dims.n_heads, dims.d_head) * dims.d_head**-0.5)

    @property
    def score(self) -> Callable[[Tensor, Tensor], Tensor]:
        return self._score

    def _score(self, q: Tensor, k: Tensor) -> Tensor:
        """U · tanh(q + k) of (B, H, t, K) and (B, G, S, K): (B, H, t, S)."""
        k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)
        u = self.u.to(q.dtype)[:, None, :, None]  # (H, 1, K, 1)

        def part(rows: slice) -> Tensor:
            sums = q[:, :, rows].unsqueeze(3) + k.unsqueeze(2)  # (B, H, t, S, K)
            return (sums.tanh() @ u).squeeze(-1)

        at_a_time = max(_ENTRIES // max(k.numel(), 1), 1)
        return by_rows(part, q.shape[2], size=at_a_time)

    def join(self, x: Tensor, heads: Tensor) -> Tensor:
        return heads.flatten(-2)
