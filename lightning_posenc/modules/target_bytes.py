"""Bytes of the text that a language model is scored on."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from lightning_posenc.tasks import IGNORE

BYTES = "bytes_per_token"  # name of the metric


class TargetBytes(Metric):
    """Mean bytes of a scored token.

    Args:
        sizes: (V,), bytes that each token stands for.
    """

    full_state_update = False
    sizes: Tensor
    bytes: Tensor
    tokens: Tensor

    def __init__(self, sizes: NDArray[np.int64]) -> None:
        super().__init__()
        self.register_buffer("sizes", torch.from_numpy(sizes), persistent=False)
        for name in ("bytes", "tokens"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Count the targets, any shape, IGNORE where nothing is scored."""
        scored = targets[targets != IGNORE]
        self.bytes += self.sizes[scored].sum()
        self.tokens += scored.numel()

    def compute(self) -> Tensor:
        """Bytes a token; NaN if no token is scored."""
        return self.bytes / self.tokens
