"""Gradients of several seeds, each clipped as if it were alone.

Shapes: S seeds.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_EPS = 1e-6  # which torch.nn.utils.clip_grad_norm_ adds to a norm


def clip(gradients: Sequence[Tensor], most: float, algorithm: str) -> None:
    """Clip in place: by each seed's norm over all gradients, or every number by itself.

    Args:
        gradients: (S, …) each.
        most: The largest norm, or number; 0 or less for no clipping.
        algorithm: "norm" or "value".
    """
    if most <= 0 or not gradients:
        return
    if algorithm == "value":
        for each in gradients:
            each.clamp_(-most, most)
        return
    norms = [torch.linalg.vector_norm(each.reshape(len(each), -1), dim=1) for each in gradients]
    total = torch.linalg.vector_norm(torch.stack(norms), dim=0)  # (S,)
    factor = (most / (total + _EPS)).clamp(max=1.0)
    for each in gradients:
        each.mul_(factor.view(-1, *[1] * (each.dim() - 1)))
