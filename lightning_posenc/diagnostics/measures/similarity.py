"""Do two layers attend alike? In deep models later layers often repeat earlier ones."""

import math

import torch
from torch import Tensor

from lightning_posenc.checks import kinds_checked
from lightning_posenc.diagnostics.measures.entropy import attention_entropy
from lightning_posenc.diagnostics.observing.row_blocks import BLOCK, weights_by_block
from lightning_posenc.model.kernels import Operands


@kinds_checked
@torch.no_grad()
def layer_similarity(
    first: Operands,
    second: Operands,
    block: int = BLOCK,
    lengths: Tensor | None = None,
) -> Tensor:
    """1 - JS(A, A') / ln 2, in [0, 1]: 1 for attention alike, 0 for attention to other keys.

    JS(p, q) = H((p + q) / 2) - (H(p) + H(q)) / 2 is the divergence of Jensen and Shannon, A the
    attention of a layer averaged over its heads; the mean is over queries, NaN if there are none.
    (DeepViT, Zhou et al. 2021, arXiv:2103.11886, equation 2, takes the cosine instead, which has no
    such floor.)

    Args:
        first: One layer's attention.
        second: Another's, in the same forward pass.
        block: Queries at a time.
        lengths: (B,) tokens of each sequence; queries beyond are left out. None if all are full.
    """
    n_sequences, _, n_queries, n_keys = first.shape
    if (n_sequences, n_queries, n_keys) != (second.shape[0], *second.shape[2:]):
        raise ValueError(f"layers of different forward passes: {first.shape} and {second.shape}")
    if first.rescore is not None or second.rescore is not None:
        block = n_queries
    places = torch.arange(n_keys - n_queries, n_keys, device=first.q.device)
    real = torch.ones(n_sequences, n_queries, dtype=torch.bool, device=first.q.device)
    if lengths is not None:
        real = places < lengths.to(places.device)[:, None]
    total, n_rows = real.new_zeros(2, dtype=torch.float64)
    pairs = zip(weights_by_block(first, block), weights_by_block(second, block), strict=True)
    for (queries, ours), (_, theirs) in pairs:
        p, q = ours.mean(dim=1), theirs.mean(dim=1)
        counted = real[:, queries] & (p.sum(dim=-1) > 0) & (q.sum(dim=-1) > 0)
        apart = attention_entropy((p + q) / 2)
        apart -= (attention_entropy(p) + attention_entropy(q)) / 2
        alike = (1 - apart / math.log(2)).clamp(0, 1)
        total += torch.where(counted, alike, 0).sum(dtype=torch.float64)
        n_rows += counted.sum()
    return total / n_rows
