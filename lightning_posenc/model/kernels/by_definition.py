"""Attention by operations that torch derives twice: for gradients of gradients.

Shapes: B sequences, H heads, G key-value heads, T queries, S keys, K channels of a head, V of a
value.
"""

import torch
from torch import Tensor

from lightning_posenc.masks import Visibility
from lightning_posenc.model.kernels.operands import Operands, attention_weights, mixed_by


def by_definition(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, visibility: Visibility, scale: float
) -> Tensor:
    """Attend with all logits at once: (B, H, T, V).

    Args:
        q: (B, H, T, K).
        k: (B, G, S, K).
        v: (B, G, S, V).
        bias: (B|1, H|1, T|1, S), or (H|1, T + S - 1) of the diagonals, that of i - j at
            i - j + S - 1; or None.
        visibility: Who sees whom.
        scale: Factor on q·k.
    """
    if bias is not None and bias.dim() == 2:
        n_keys = k.shape[2]
        i, j = (torch.arange(n, device=q.device) for n in (q.shape[2], n_keys))
        bias = bias[:, i.unsqueeze(1) - j + n_keys - 1].unsqueeze(0)
    weights = attention_weights(Operands(q, k, v, bias, visibility, None, scale))
    return mixed_by(weights.to(v.dtype), v)
