"""The loss of a batch."""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.tasks import IGNORE


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over the scored targets, in float32 at least: in bfloat16 a mean has two digits.

    Args:
        logits: (…, C).
        targets: (…), IGNORE where nothing is scored.
    """
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(wide.flatten(0, -2), targets.flatten(), ignore_index=IGNORE)
