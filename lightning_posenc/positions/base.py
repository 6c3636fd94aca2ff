"""What a sampler of positions is.

Shapes: B sequences, T tokens, A axes. Positions are integers wherever they can be: a float tensor
says that they may lie off the lattice, and that gradients with respect to them are wanted.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places


class Positions(nn.Module, ABC):
    """Draws the positions of one forward pass. A module, so that it knows training from testing.

    A subclass writes `forward`, and says by `reads_tokens` if it reads the tokens. One that knows
    bounds of what it draws writes `bounds`, so that nobody has to read them off a GPU.
    """

    source: ClassVar[Paper | None] = None
    reads_tokens: bool = False

    @abstractmethod
    def forward(
        self,
        n_sequences: int,
        length: int,
        device: torch.device,
        documents: Tensor | None = None,
        tokens: Tensor | None = None,
    ) -> Tensor:
        """Give the positions of every token.

        Args:
            n_sequences: B.
            length: T.
            device: Where the result lives.
            documents: (B, T) id of the document that each token belongs to, when packed.
            tokens: (B, T) ids of the tokens, for samplers that read them.

        Returns:
            (1, T) or (B, T), or with a last axis (1|B, T, A). Never in half precision: of 4096
            positions in bfloat16 only 769 stay distinct.
        """

    def bounds(self, length: int) -> tuple[float, float] | None:
        """Two numbers between which all positions of `length` tokens lie; None if unknown."""
        return None

    def stretch(self, places: Places) -> Tensor | None:
        """What whole distances 0..N count as, (N + 1,); None if as themselves."""
        return None

    def places(
        self,
        n_sequences: int,
        length: int,
        device: torch.device,
        documents: Tensor | None = None,
        lengths: Tensor | None = None,
        tokens: Tensor | None = None,
    ) -> Places:
        """Draw positions, with all that is known of them.

        Args:
            n_sequences: B.
            length: T.
            device: Where the result lives.
            documents: As in `forward`.
            lengths: (B,) tokens of each sequence, when padded.
            tokens: As in `forward`.
        """
        drawn = self(n_sequences, length, device, documents, tokens)
        low, high = self.bounds(length) or (None, None)
        places = Places(drawn, low, high, documents, lengths)
        return places._replace(stretch=self.stretch(places))
