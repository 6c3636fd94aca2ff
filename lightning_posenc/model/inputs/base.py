"""The interface of an input.

Shapes: B sequences, T tokens, D = d_model, V token ids.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeAlias

from torch import Tensor, nn

from lightning_posenc.checks import is_a
from lightning_posenc.dims import Dims
from lightning_posenc.positions.places import Places


class Inputs(nn.Module, ABC):
    """Turns what a batch holds into tokens of the model's width: ids, patches, frames.

    Args:
        dims: Sizes of the model.
        vocab_size: V, if the data has token ids; None otherwise. What takes no ids ignores it.
    """

    reads_lengths: ClassVar[bool] = False
    """Whether `forward` is called with the rows' true lengths (B,) too, None if all are full: what
    comes of a row's last entries must not depend on the padding behind them."""

    def __init__(self, dims: Dims, vocab_size: int | None) -> None:
        super().__init__()
        self.dims: Dims = is_a(self, "dims", dims, Dims)

    @abstractmethod
    def forward(self, tokens: Tensor) -> Tensor:
        """Map a batch's `tokens`, (B, T) ids or (B, …) of anything else, to (B, T, D)."""

    def lengths(self, lengths: Tensor) -> Tensor:
        """How many tokens come of rows of so many entries: (B,) to (B,)."""
        return lengths

    def places(self, tokens: Tensor) -> Places | None:
        """Where the tokens that `forward` makes stand, (1|B, T) or (1|B, T, A); None if they only
        follow each other.
        """
        return None


InputsFactory: TypeAlias = Callable[[Dims, int | None], Inputs]
