"""The loss of a batch."""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.tasks import IGNORE


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean over the scored targets, in float32 at least: in bfloat16 a mean has two digits.

    It is 0, with gradients of 0, where nothing is scored: a mean over none is NaN, which one batch
    of unlucky draws would put into all weights.

    Args:
        logits: (…, C).
        targets: (…), IGNORE where nothing is scored.
        smoothing: Share of a target's probability that all C classes have in equal parts, in [0, 1)
            (Szegedy et al. 2016, arXiv:1512.00567, section 7).
    """
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    loss = F.cross_entropy(
        wide.flatten(0, -2), targets.flatten(), ignore_index=IGNORE, label_smoothing=smoothing
    )
    return torch.where((targets != IGNORE).any(), loss, 0.0)
