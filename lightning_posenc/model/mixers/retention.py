"""A recurrence whose states fade: order without any encoding.

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


class Retention(Recurrent):
    """o_i = Σ_{j ≤ i} γ^(i - j) (q_i · k_j / √K) v_j, head h forgetting by γ_h = 1 - 2^(-5 - h).

    Heads are normalised over their channels, gated by silu(W_g x) and projected. What fades knows
    how far away a token was, so that it needs no encoding. Source: Sun et al. 2023, "Retentive
    Network: A Successor to Transformer for Large Language Models", arXiv:2307.08621, equations 5
    to 8. Deviations: its rotation is left to the model's encoding (`RoPE`); values are as wide as
    keys; the scores are not normalised, which the norm of the heads would undo. T tokens cost O(T)
    time and memory, by chunks of 64, and are decoded from a state of K² numbers a head. The decay
    is of tokens, not of positions. Bidirectional models are refused.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        bias: Whether the projections have a bias.
    """

    hooks = frozenset({"transform"})
    serves = frozenset({"causal", "padding", "documents", "cache"})
    source = Paper(
        "Sun et al.", 2023,
        "Retentive Network: A Successor to Transformer for Large Language Models",
        "2307.08621", "equations 5 to 8",
    )  # fmt: skip
    equation = (
        r"o_i = \sum_{j \le i} \gamma_h^{\,i-j} \, \frac{q_i \cdot k_j}{\sqrt K} \, v_j, \quad "
        r"\gamma_h = 1 - 2^{-5-h}"
    )

    def __init__(self, dims: Dims, layer: int, bias: bool = False) -> None:
        super().__init__(dims, layer)
        names = ("q", "k", "v", "gate")
        self.qkvg = Stacked(dims.d_model, dict.fromkeys(names, dims.d_model), bias=bias)
        self.out = nn.Linear(dims.d_model, dims.d_model, bias=bias)

    def mix(self, x: Tensor, context: Context) -> Tensor:
        q, k, v, gate = self.qkvg.heads(x, self.dims.d_head)
        q, k, v = self.changed(x, context, q, k * self.dims.d_head**-0.5, v)
        forgotten = torch.exp2(-5 - torch.arange(self.dims.n_heads, device=x.device).float())
        log_decay = torch.log1p(-forgotten)[None, :, None].expand(1, -1, x.shape[1])
        mixed = self.summed(context, q, k, v, log_decay)  # (B, H, T, K)
        mixed = F.silu(gate) * F.layer_norm(mixed, mixed.shape[-1:]).to(gate.dtype)
        return self.out(mixed.transpose(1, 2).flatten(-2))
