"""The loss of a global batch, of which each rank has a share."""

import torch
from torch import Tensor
from torch.distributed import all_reduce


def weighted(loss: Tensor, n_scored: Tensor, world_size: int) -> Tensor:
    """A rank's mean loss, weighted so that the mean over ranks is the mean over all targets.

    Strategies average gradients over ranks, whatever their shares hold: a rank with few scored
    targets would count as much as one with many. The weight is 1 where all have equally many.

    Args:
        loss: Mean over the rank's scored targets; anything if it has none.
        n_scored: () how many those are.
        world_size: Ranks; each of them must call.
    """
    total = n_scored.clone()
    all_reduce(total)
    weight = (n_scored * world_size).float() / total.clamp(min=1)
    return torch.where(n_scored > 0, loss, 0.0) * weight
