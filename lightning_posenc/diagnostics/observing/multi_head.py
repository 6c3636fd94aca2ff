"""What `nn.MultiheadAttention` attends with, from the arguments of its function.

Shapes: B sequences, H heads, T queries, S keys, K channels of a head, D = H·K.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.masks import Visibility
from lightning_posenc.model.kernels import Operands


@torch.no_grad()
def operands_of_multi_head(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    *rest: Any,
    attn_mask: Tensor | None = None,
    key_padding_mask: Tensor | None = None,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    **others: Any,
) -> Operands:
    """The operands of a call of `F.multi_head_attention_forward`, whose arguments these are.

    The projections are computed once more, since the function keeps them to itself. Without a
    graph.
    """
    if in_proj_weight is not None:
        weights: list[Any] = list(in_proj_weight.chunk(3))
    else:
        weights = [q_proj_weight, k_proj_weight, v_proj_weight]
    biases: Any = [None] * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    batched = query.dim() == 3
    q, k, v = (
        F.linear(x if batched else x.unsqueeze(1), w, b)  # (T, B, D)
        for x, w, b in zip((query, key, value), weights, biases, strict=True)
    )
    added = _added(attn_mask, key_padding_mask, q.shape[1], num_heads, q.dtype)
    if bias_k is not None and bias_v is not None:
        k = torch.cat((k, bias_k.expand(-1, k.shape[1], -1)))
        v = torch.cat((v, bias_v.expand(-1, v.shape[1], -1)))
    if add_zero_attn:
        k, v = (F.pad(x, (0, 0, 0, 0, 0, 1)) for x in (k, v))
    q, k, v = (x.unflatten(-1, (num_heads, -1)).permute(1, 2, 0, 3) for x in (q, k, v))
    bias = visible = None
    if added is not None:
        added = F.pad(added, (0, k.shape[2] - added.shape[-1]))  # such keys are seen by all
        added = added.expand(-1, -1, q.shape[2], -1)
        seen = added > -torch.inf
        visible = None if bool(seen.all()) else seen
        rest_of_it = added.masked_fill(~seen, 0.0)
        bias = rest_of_it if bool(rest_of_it.any()) else None
    visibility = Visibility(visible, q.shape[2], k.shape[2], q.device)
    return Operands(q, k, v, bias, visibility, rescore=None, scale=q.shape[-1] ** -0.5)


def _added(
    attn_mask: Tensor | None,
    key_padding_mask: Tensor | None,
    n_sequences: int,
    n_heads: int,
    dtype: torch.dtype,
) -> Tensor | None:
    """What both masks add to the logits, (B|1, H|1, T|1, S); True in them means hidden."""
    parts = []
    if attn_mask is not None:
        by_head = attn_mask.dim() == 3
        parts.append(attn_mask.unflatten(0, (n_sequences, n_heads)) if by_head else attn_mask)
    if key_padding_mask is not None:
        parts.append(key_padding_mask.view(n_sequences, 1, 1, -1))
    total = None
    for part in parts:
        if part.dtype == torch.bool:
            part = torch.zeros_like(part, dtype=dtype).masked_fill(part, -torch.inf)
        total = part if total is None else total + part
    return None if total is None else total[(None,) * (4 - total.dim())]
