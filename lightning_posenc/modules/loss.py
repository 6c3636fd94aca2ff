"""The loss of a batch."""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.tasks import IGNORE


def cross_entropy(
    logits: Tensor, targets: Tensor, smoothing: float = 0.0, weights: Tensor | None = None
) -> Tensor:
    """Mean over the scored targets, in float32 at least: in bfloat16 a mean has two digits.

    It is 0, with gradients of 0, where nothing is scored: a mean over none is NaN, which one batch
    of unlucky draws would put into all weights.

    Args:
        logits: (…, C).
        targets: (…), IGNORE where nothing is scored.
        smoothing: Share of a target's probability that all C classes have in equal parts, in [0, 1)
            (Szegedy et al. 2016, arXiv:1512.00567, section 7).
        weights: (C,) what a target of each class counts; None for 1. The mean is over the targets,
            not over their weights, so that it does not matter how they come in batches.
    """
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    loss = F.cross_entropy(
        wide.flatten(0, -2), targets.flatten(), ignore_index=IGNORE, label_smoothing=smoothing
    )
    if weights is not None:
        flat = targets.flatten()
        each = F.cross_entropy(
            wide.flatten(0, -2), flat, ignore_index=IGNORE, label_smoothing=smoothing,
            reduction="none",
        )  # fmt: skip
        scored = flat != IGNORE
        counted = each * weights.to(each.dtype)[flat.where(scored, 0)]
        return counted.sum() / scored.sum().clamp(min=1)
    return torch.where((targets != IGNORE).any(), loss, 0.0)
