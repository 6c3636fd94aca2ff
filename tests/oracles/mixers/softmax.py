"""What several equations have in common."""

from collections.abc import Sequence

import numpy as np

from tests.oracles.mixers.base import Array


def softmax(logits: Sequence[float]) -> Array:
    """exp(x) over the sum of it."""
    powers = np.exp(np.array(logits) - max(logits))
    return powers / powers.sum()
