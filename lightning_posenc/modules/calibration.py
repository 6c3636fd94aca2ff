"""Whether a model is as often right as it is sure.

Shapes: B sequences, T tokens, C classes.
"""

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassCalibrationError

from lightning_posenc.tasks import IGNORE

ECE = "ece"  # name of the metric
N_BINS = 15


class Calibration(MulticlassCalibrationError):
    """The expected calibration error, by torchmetrics: predictions lie in 15 bins of confidence of
    equal width, and it is the mean distance of each bin's accuracy to its mean confidence.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599, section
    2, equation 3.

    Args:
        n_classes: C, at least 2.
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__(n_classes, n_bins=N_BINS, norm="l1", validate_args=False)

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Take logits (B, C) or (B, T, C) and their targets, IGNORE where nothing is scored."""
        scored = targets != IGNORE
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        super().update(wide[scored].softmax(dim=-1), targets[scored])

    def compute(self) -> Tensor:
        """A share in [0, 1]; NaN if nothing was scored."""
        n_scored = sum(len(each) for each in self.confidences)
        return super().compute() if n_scored else torch.tensor(torch.nan)
