"""Attention entropy of a layer by one more pass of the fused kernel, in O(T) memory.

Shapes: B sequences, H heads, T queries, S keys, K channels of a head.
"""

import torch
from torch import Tensor

from lightning_posenc.checks import kinds_checked
from lightning_posenc.compat.torch import flash_with_lse, has_flash
from lightning_posenc.diagnostics.measures.entropy import attention_entropy
from lightning_posenc.diagnostics.observing.row_blocks import BLOCK, weights_by_block
from lightning_posenc.model.kernels import Operands

LARGEST = 1e3  # beyond it the difference of LSE and mean logit loses the fourth decimal


@kinds_checked
@torch.no_grad()
def entropy_of(operands: Operands, block: int = BLOCK) -> Tensor:
    """Entropy of every query of a layer, (B, H, T), in nats.

    H_i = LSE_i - E_A[logit_i], where the mean logit is scale · q_i · Σ_j A_ij k_j: attention whose
    values are its keys. So where a kernel that tells its LSE fits (on the CPU, all or only the past
    visible, neither bias nor rescore); otherwise, and for logits so large that the difference is
    inexact, by blocks of queries.

    Args:
        operands: One layer's attention.
        block: Queries at a time, where it goes by blocks.
    """
    fused = _fused(operands)
    if fused is not None:
        return fused
    rows = [attention_entropy(weights) for _, weights in weights_by_block(operands, block)]
    return torch.cat(rows, dim=-1)


def _fused(operands: Operands) -> Tensor | None:
    q, k, visibility, scale = operands.q, operands.k, operands.visibility, operands.scale
    plain = operands.bias is None and operands.is_plain
    fits = plain and (visibility.mask is None or visibility.is_causal)
    if not fits or not has_flash() or q.device.type != "cpu" or q.dtype == torch.float64:
        return None
    q, k = q.float(), k.float().repeat_interleave(q.shape[1] // k.shape[1], dim=1)
    mean_key, lse = flash_with_lse(q, k, k, visibility.is_causal, scale)
    if not bool((lse.abs() < LARGEST).all()):
        return None
    mean_logit = torch.linalg.vecdot(q, mean_key) * scale
    return (lse - mean_logit).clamp(min=0)
