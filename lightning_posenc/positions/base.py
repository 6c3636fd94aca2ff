"""What a sampler of positions is.

Shapes: B sequences, T tokens, A axes. Positions are integers wherever they can be: a float tensor
says that they may lie off the lattice, and that gradients with respect to them are wanted.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from lightning_posenc.positions.paper import Paper


class Positions(nn.Module, ABC):
    """Draws the positions of one forward pass. A module, so that it knows training from testing.

    A subclass that reads the tokens says so by `reads_tokens`.
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
