"""A learned sink as one more key, for kernels that know none.

Shapes: B sequences, H heads, G key-value heads, T queries, S keys, K channels of a head.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.masks import Visibility
from lightning_posenc.model.kernels.operands import Operands

_WIDER = 8  # channels: fused kernels want a width that is a multiple of 8


def beside_sinks(operands: Operands) -> Operands:
    """The same attention without `sinks`, over S + 1 keys, of which the last is everybody's.

    Queries get a channel of sinks / scale, and keys one that is 1 at the last of them and 0 at
    others; its other channels are 0, and so is its value. A causal mask is no longer the causal one
    alone: it is written out.

    Args:
        operands: With sinks, and no bias that is a table.
    """
    q, k, v, bias, seen = operands[:5]
    assert operands.sinks is not None
    assert bias is None or isinstance(bias, Tensor)
    channel = (operands.sinks / operands.scale).to(q.dtype)[:, None, None].expand(*q.shape[:3], 1)
    wide = torch.cat([q, channel, q.new_zeros(*q.shape[:3], _WIDER - 1)], dim=-1)
    last = F.one_hot(torch.tensor(q.shape[-1], device=q.device), wide.shape[-1]).to(k.dtype)
    keys = F.pad(k, (0, _WIDER))
    mask: Tensor | None = None
    if seen.dense is not None:
        mask = F.pad(seen.dense, (0, 1), value=True)
    return operands._replace(
        q=wide,
        k=torch.cat([keys, last.expand(*k.shape[:2], 1, -1)], dim=2),
        v=F.pad(v, (0, 0, 0, 1)),
        bias=None if bias is None else F.pad(bias, (0, 1)),
        visibility=Visibility(mask, seen.n_queries, seen.n_keys + 1, seen.device, seen.first),
        sinks=None,
    )
