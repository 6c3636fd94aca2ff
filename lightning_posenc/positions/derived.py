"""Samplers that change what another one drew."""

from abc import ABC, abstractmethod

from torch import Tensor

from lightning_posenc.checks import is_a
from lightning_posenc.positions.base import Positions
from lightning_posenc.positions.consecutive import Consecutive
from lightning_posenc.positions.places import Places
from lightning_posenc.positions.sequences import Sequences


class Derived(Positions, ABC):
    """Draws positions from another sampler and changes them; a subclass writes `change`.

    Args:
        of: The other sampler; None counts 0, 1, 2, …
    """

    def __init__(self, of: Positions | None = None) -> None:
        super().__init__()
        self.of: Positions = Consecutive() if of is None else is_a(self, "of", of, Positions)
        self.reads_tokens = self.of.reads_tokens

    @abstractmethod
    def change(self, positions: Tensor, sequences: Sequences) -> Tensor:
        """Give new positions for (1|B, T) or (1|B, T, A)."""

    def stretch(self, places: Places) -> Tensor | None:
        return self.of.stretch(places)

    def forward(self, sequences: Sequences) -> Tensor:
        return self.change(self.of(sequences), sequences)


def one_each(positions: Tensor, n_sequences: int) -> tuple[int, ...]:
    """Shape of one number for each sequence and axis, to go with (1|B, T) or (1|B, T, A)."""
    return (n_sequences, 1, *positions.shape[2:])
