"""Attention entropy: over how many keys does a query spread its attention?"""

import torch
from torch import Tensor

from lightning_posenc.checks import kinds_checked


@kinds_checked
def attention_entropy(weights: Tensor) -> Tensor:
    """H_i = -Σ_j A_ij ln A_ij, in nats: from 0 (one key) to ln S (all alike).

    Its collapse goes with unstable training (Zhai et al. 2023, arXiv:2303.06296, equation 1).

    Args:
        weights: (…, T, S) attention, each row a distribution over S keys.

    Returns:
        (…, T), in float32 (float64 for float64 weights). Rows of zeros have entropy 0.
    """
    dtype = torch.promote_types(weights.dtype, torch.float32)
    return torch.special.entr(weights.to(dtype)).sum(dim=-1)
