"""Attention without a softmax, in time linear in the length.

Shapes: B sequences, T tokens, H heads, K channels of a head, D = H·K.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.dims import Dims
from lightning_posenc.model.linear import Stacked
from lightning_posenc.model.mixers.base import Context
from lightning_posenc.model.mixers.recurrent import Recurrent
from lightning_posenc.positions.paper import Paper


class LinearAttention(Recurrent):
    """o_i = Σ_j φ(q_i)·φ(k_j) v_j / Σ_j φ(q_i)·φ(k_j), with φ(x) = elu(x) + 1.

    Source: Katharopoulos et al. 2020, "Transformers are RNNs", arXiv:2006.16236, equations 4 and 7;
    what an encoding turns is above the line alone, as in Su et al. 2021, RoFormer,
    arXiv:2104.09864, equation 19. T tokens cost O(T) time and memory; a causal model sums by chunks
    of 64, and decodes from a state of K·(K + 1) numbers a head. There are no logits, so that no
    bias can be added to them.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        bias: Whether the projections have a bias.
    """

    serves = frozenset({"causal", "bidirectional", "padding", "documents", "cache"})
    source = Paper(
        "Katharopoulos et al.", 2020,
        "Transformers are RNNs: Fast Autoregressive Transformers with Linear Attention",
        "2006.16236", "equations 4 and 7",
    )  # fmt: skip
    equation = (
        r"o_i = \frac{\sum_j \varphi(q_i) \cdot \varphi(k_j) \, v_j}{\sum_j \varphi(q_i) \cdot"
        r" \varphi(k_j)}, \quad "
        r"\varphi(x) = \operatorname{elu}(x) + 1"
    )

    def __init__(self, dims: Dims, layer: int, bias: bool = True) -> None:
        super().__init__(dims, layer)
        width = dims.d_model
        self.qkv = Stacked(width, {"q": width, "k": width, "v": width}, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)

    def mix(self, x: Tensor, context: Context) -> Tensor:
        q, k, v = self.qkv.heads(x, self.dims.d_head)
        q, k = _positive(q), self.hidden(context, _positive(k))  # (B, H, T, K)
        turned_q, turned_k, v = self.changed(x, context, q, k, v)
        ones = torch.ones_like(v[..., :1])
        if turned_q is q:  # else some of what stands above the line may be negative: no weights
            self.show(context, q, k, v)
            sums = self.summed(context, q, k, torch.cat([v, ones], dim=-1))
            mixed, total = sums[..., :-1], sums[..., -1:]
        else:
            mixed = self.summed(context, turned_q, turned_k, v)
            total = self.summed(context, q, k, ones, name="total")
        # φ is positive, and so is the total, but for a sequence of nothing but padding.
        mixed = mixed / total.clamp_min(torch.finfo(total.dtype).tiny)
        return self.out(mixed.transpose(1, 2).flatten(-2).to(x.dtype))


def _positive(x: Tensor) -> Tensor:
    """elu(x) + 1, not rounded to 0 far below it.

    elu's own gradient has other strides than torch.compile's backend aot_eager expects (2.13).
    """
    return x.clamp(max=0).exp() + F.relu(x)
