"""What a decoder reads while it is told the right answers.

Shapes: B sequences, T tokens of an answer.
"""

import torch
from torch import Tensor

from lightning_posenc.tasks import IGNORE


def shifted(targets: Tensor, end: int) -> Tensor:
    """What a decoder reads to say targets (B, T): the end, and all of them but the last.

    Args:
        targets: IGNORE where nothing is said.
        end: Token that begins an answer, and stands where nothing is.
    """
    said = targets.masked_fill(targets == IGNORE, end)
    return torch.cat([torch.full_like(said[:, :1], end), said[:, :-1]], dim=1)


def answer_lengths(targets: Tensor) -> Tensor:
    """(B,) tokens of each answer, up to the last that is scored; 0 of one that nobody knows."""
    place = torch.arange(1, targets.shape[1] + 1, device=targets.device)
    return (place * (targets != IGNORE)).amax(dim=1)


def unscored_left_out(targets: Tensor, end: int) -> list[list[int]]:
    """The tokens of each answer, without the end."""
    return [[token for token in row if token not in (IGNORE, end)] for row in targets.tolist()]
