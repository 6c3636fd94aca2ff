"""The other half of a block: what happens at one token alone.

Shapes: B sequences, T tokens, D = d_model.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeAlias

from torch import Tensor

from lightning_posenc.dims import Dims
from lightning_posenc.model.part import Part


class FeedForward(Part):
    """Maps (B, T, D) to (B, T, D), token by token.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
    """

    reads_places: ClassVar[bool] = False
    """Whether `forward` is called with the tokens' `Places` too, which tell padding from tokens."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Apply to (B, T, D)."""


class TwoMaps(FeedForward):
    """second(first(x)): what lies between the two, other tokens' may be added to.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
    """

    d_hidden: int
    """Channels of what `first` gives."""

    @abstractmethod
    def first(self, x: Tensor) -> Tensor:
        """Map (B, T, D) to (B, T, d_hidden), linearly."""

    @abstractmethod
    def second(self, hidden: Tensor) -> Tensor:
        """Activate (B, T, d_hidden), and map it to (B, T, D)."""

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


FeedForwardFactory: TypeAlias = Callable[[Dims, int], FeedForward]
