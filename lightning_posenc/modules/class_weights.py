"""What an example of each class counts in the loss, where some are rarer than others.

Shapes: C classes.
"""

from typing import Any

import torch
from torch import Tensor

from lightning_posenc.checks import number, several, wrong
from lightning_posenc.data.fixed import FixedData

BALANCED = "balanced"


class ClassWeights:
    """A number for each class, by which the loss of its examples is multiplied in training.

    "balanced": n / (C · n_c) for a class that n_c of n training examples have, as in scikit-learn's
    `compute_class_weight`, so that the mean weight of an example is 1. A class that no example has
    counts 0. Weights are made of the data anew for every fit, and lie in no checkpoint.

    Args:
        given: "balanced", C numbers from 0, or None for 1.
        n_classes: C.

    Raises:
        ValueError: If they are no such numbers, or all 0.
    """

    def __init__(self, given: Any, n_classes: int) -> None:
        self.given = given
        self.n_classes = n_classes
        self._weights: Tensor | None = None
        if isinstance(given, str):
            if given != BALANCED:
                raise wrong("model", "class_weights", given, f"be {BALANCED}, or a list of numbers")
        elif given is not None:
            each = several("model", "class_weights", given, n_classes)
            self._weights = torch.tensor([number("model", "class_weights", n, 0) for n in each])
            if not self._weights.any():
                raise wrong("model", "class_weights", given, "not all be 0")

    def on(self, device: torch.device) -> Tensor | None:
        """(C,) float32, there; None if all count 1."""
        if self._weights is not None and self._weights.device != device:
            self._weights = self._weights.to(device)
        return self._weights

    def count(self, data: Any) -> None:
        """Balance the classes of the data that is to be trained on, if that was asked for.

        Raises:
            ValueError: If the data does not tell them.
        """
        if self.given != BALANCED:
            return
        classes = data.training_classes() if isinstance(data, FixedData) else None
        if classes is None:
            raise ValueError(
                f"class_weights={BALANCED}: {type(data).__name__} does not say which classes it "
                "will train on: give a list of numbers"
            )
        counts = classes.bincount(minlength=self.n_classes).double()
        weights = counts.sum() / (self.n_classes * counts.clamp(min=1)) * (counts > 0)
        self._weights = weights.float()
