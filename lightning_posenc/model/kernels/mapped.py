"""Attention of what `torch.func.vmap` maps over, without a loop over it.

torch's fused attention on the CPU has no rule for a further axis, so that it would be called once
for each of its entries; and of a bias that is mapped over torch does not see that it learns.

Shapes: N mapped over, B sequences, H heads, T queries, S keys, K channels of a head.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class Mapped(torch.autograd.Function):
    """`scaled_dot_product_attention` of (B, H, T, K), for operands that are mapped over.

    Attention has no weights: what is mapped over is more sequences.
    """

    @staticmethod
    def forward(*operands: Any) -> Tensor:
        raise AssertionError("called without a map")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        raise AssertionError("called without a map")

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None,
        dropout: float,
        is_causal: bool,
        scale: float,
        is_grouped: bool,
    ) -> tuple[Tensor, int]:
        """Attend, on the tensors beneath the map, with their gradients."""
        n = info.batch_size
        q, k, v = (
            each.expand(n, *each.shape) if dim is None else each.movedim(dim, 0)
            for each, dim in zip((q, k, v), in_dims[:3], strict=True)
        )
        size = q.shape[1]
        if mask is not None and in_dims[3] is not None:
            mask = mask.movedim(in_dims[3], 0)
        elif mask is not None and mask.shape[0] > 1:
            mask = mask.expand(n, *mask.shape)
        options: dict[str, Any] = {
            "dropout_p": dropout, "is_causal": is_causal, "scale": scale, "enable_gqa": is_grouped
        }  # fmt: skip
        if mask is not None and mask.dim() == 5 and mask.shape[1] != size:
            # One for all sequences: of five dimensions torch attends by parts, and repeats nothing.
            out = F.scaled_dot_product_attention(q, k, v, mask, **options)
            return out, 0
        q, k, v = (each.reshape(n * size, *each.shape[2:]) for each in (q, k, v))
        if mask is not None and mask.dim() == 5:
            mask = mask.reshape(n * size, *mask.shape[2:])
        out = F.scaled_dot_product_attention(q, k, v, mask, **options)
        return out.view(n, size, *out.shape[1:]), 0
