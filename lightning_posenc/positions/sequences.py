"""What a sampler of positions is told of the sequences at hand."""

from typing import NamedTuple

import torch
from torch import Tensor


class Sequences(NamedTuple):
    """The sequences of one forward pass, as far as their positions may depend on them.

    Args:
        number: B, how many there are.
        length: T, tokens of each, padding included.
        device: Where positions shall live.
        documents: (B, T) id of the document that each token belongs to, when packed.
        lengths: (B,) tokens of each sequence, when padded: what stands beyond is none.
        tokens: (B, T) ids of the tokens, for samplers that read them.
    """

    number: int
    length: int
    device: torch.device
    documents: Tensor | None = None
    lengths: Tensor | None = None
    tokens: Tensor | None = None

    @property
    def real(self) -> Tensor | None:
        """(B, T), which tokens are none of the padding; None if there is no padding."""
        if self.lengths is None:
            return None
        places = torch.arange(self.length, device=self.lengths.device)
        return places < self.lengths.unsqueeze(1)
