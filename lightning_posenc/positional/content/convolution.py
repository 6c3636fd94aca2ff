"""A short causal convolution over tokens."""

import torch
from torch import Tensor
from torch.nn import functional as F


def short_convolution(x: Tensor, weight: Tensor, positions: Tensor) -> Tensor:
    """Mix each channel of a token with those of the few tokens before it.

    It does not reach back over a restart: where positions do not grow, another document begins.

    Args:
        x: (B, S, C).
        weight: (C, W), the token's own weight last.
        positions: (B|1, S).

    Returns:
        (B, S, C).
    """
    length, size = x.shape[1], weight.shape[1]
    restarts = F.pad(positions.diff(dim=1) <= 0, (1, 0))
    document = restarts.cumsum(dim=1)
    mixed = x * weight[:, -1]
    for back in range(1, min(size, length)):
        same = document[:, back:] == document[:, :-back]
        earlier = torch.where(same.unsqueeze(-1), x[:, :-back], 0)
        mixed = mixed + F.pad(earlier * weight[:, -1 - back], (0, 0, back, 0))
    return mixed
