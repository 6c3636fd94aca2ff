"""What a scaling of rotary frequencies is.

Shapes: B sequences, S keys, A axes, n pairs of channels.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import number, whole
from lightning_posenc.positions.paper import Paper


class Spectrum(NamedTuple):
    """What a rotation turns by.

    Args:
        inv_freq: Angle per step of every pair, float32: (n,), or what else broadcasts against
            (L|1, B|1, H|1, T, n), from the last axis on.
        temperature: Factor on queries and keys alike; the logits grow by its square.
    """

    inv_freq: Tensor
    temperature: float = 1.0


class Scaling(ABC):
    """Maps the geometric frequencies base^(-2i/width) of a trained model to others.

    Args:
        factor: How many times longer than the trained length sequences may become, in [1, 1e6].
        trained_length: Longest sequence of the training, at least 2.

    Raises:
        ValueError: If one of them makes no sense.
    """

    source: ClassVar[Paper | None] = None
    equation: ClassVar[str] = ""  # in TeX, for its page
    dynamic: ClassVar[bool] = False  # whether beyond the trained length it reads the current one

    def __init__(self, factor: float, trained_length: int = 2048) -> None:
        self.factor = number(self, "factor", factor, 1)
        self.trained_length = whole(self, "trained_length", trained_length, 2)

    @abstractmethod
    def __call__(self, base: float, width: int, positions: Tensor) -> Spectrum:
        """Give the frequencies to turn by.

        Args:
            base: Of the trained model.
            width: Number of channels that turn, two a pair.
            positions: (B|1, S), or (B|1, S, A), of all keys: a dynamic method reads the length off
                them.
        """


def checked_base(owner: object, base: float) -> float:
    """`base`, checked to lie in (1, 1e30]: the ratio between the longest and shortest wavelength.

    Raises:
        ValueError: if it is another, or no number.
    """
    return number(owner, "base", base, above=1, most=1e30)


def geometric(base: float, width: int, device: torch.device) -> Tensor:
    """base^(-2i/width) for i in 0..width/2-1, float32: the frequencies of RoPE, unscaled."""
    exponent = torch.arange(0, width, 2, device=device).float()
    return base ** (-exponent / width)


def current_length(positions: Tensor) -> Tensor:
    """The largest position of each sequence, plus one: (B|1, 1, 1, 1), without a gradient."""
    return positions.detach().flatten(1).amax(1).float().view(-1, 1, 1, 1) + 1
