"""A mean whose terms count as much as their weights say."""

import torch
from torch import Tensor
from torchmetrics import Metric


class WeightedMean(Metric):
    """Mean of numbers, each with its weight, NaN if one of them is.

    torchmetrics' MeanMetric leaves NaN out, and with nan_strategy="disable" the weights as well.
    """

    full_state_update = False
    total: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "weight"):
            self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, value: Tensor, weight: Tensor) -> None:
        """Add a number () that counts as weight () ones do."""
        self.total += value.to(self.total.dtype) * weight
        self.weight += weight

    def compute(self) -> Tensor:
        """The mean, NaN if nothing counts."""
        return self.total / self.weight
