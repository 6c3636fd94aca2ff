"""The share of sequences that are right in every place."""

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_posenc.tasks import IGNORE


class ExactMatch(Metric):
    """Share of sequences whose every scored token is right; those with none do not count.

    torchmetrics' MulticlassExactMatch counts a sequence without scored tokens as right.
    """

    full_state_update = False
    right: Tensor
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("right", "total"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Count (B, T) predicted classes and their targets, IGNORE where nothing is scored."""
        scored = targets != IGNORE
        counts = scored.any(dim=1)
        self.right += (((predictions == targets) | ~scored).all(dim=1) & counts).sum()
        self.total += counts.sum()

    def compute(self) -> Tensor:
        """The share, NaN if no sequence counts."""
        return self.right.float() / self.total
