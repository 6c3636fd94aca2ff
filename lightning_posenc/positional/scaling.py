"""Extending a trained RoPE past its length: new frequencies, and a temperature of the softmax."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor


class Spectrum(NamedTuple):
    """What a rotation turns by.

    Args:
        inv_freq: Angle per step of every pair, float32: (n,), or any shape that broadcasts against
            (B|1, 1, T, 1), with a leading axis of layers if layers differ: (L, 1, H|1, 1, n).
        temperature: Factor on queries and keys alike; the logits grow by its square.
    """

    inv_freq: Tensor
    temperature: float = 1.0


class Scaling(ABC):
    """Maps the geometric frequencies base^(-2i/width) of a trained model to others."""

    @abstractmethod
    def __call__(self, base: float, width: int, positions: Tensor) -> Spectrum:
        """Give the frequencies to turn by.

        Args:
            base: Of the trained model.
            width: Number of channels that turn, two a pair.
            positions: (B|1, S) of all keys: a dynamic method reads the length off them.
        """


def geometric(base: float, width: int, device: torch.device) -> Tensor:
    """base^(-2i/width) for i in 0..width/2-1, float32: the frequencies of RoPE, unscaled."""
    exponent = torch.arange(0, width, 2, device=device).float()
    return base ** (-exponent / width)
