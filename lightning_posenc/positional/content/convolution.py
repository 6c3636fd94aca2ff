"""A short causal convolution over tokens."""

import torch
from torch import Tensor
from torch.nn import functional as F


def short_convolution(x: Tensor, weight: Tensor, positions: Tensor) -> Tensor:
    """Mix each channel of a token with those of the few tokens before it.

    It does not reach back over a restart: where positions do not grow, another document begins.
    Positions on axes say nothing of documents.

    Args:
        x: (B, S, C).
        weight: (C, W), the token's own weight last.
        positions: (B|1, S), or (B|1, S, A) on A axes.

    Returns:
        (B, S, C).
    """
    length, size = x.shape[1], weight.shape[1]
    grows = positions.diff(dim=1) > 0 if positions.dim() == 2 else x.new_ones(1, length - 1) > 0
    restarts = F.pad(~grows, (1, 0))
    document = restarts.cumsum(dim=1)
    mixed = x * weight[:, -1]
    for back in range(1, min(size, length)):
        same = document[:, back:] == document[:, :-back]
        earlier = torch.where(same.unsqueeze(-1), x[:, :-back], 0)
        mixed = mixed + F.pad(earlier * weight[:, -1 - back], (0, 0, back, 0))
    return mixed
