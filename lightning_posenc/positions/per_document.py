"""Counting anew in every packed document."""

import torch
from torch import Tensor

from lightning_posenc.positions.base import Positions
from lightning_posenc.positions.sequences import Sequences


class PerDocument(Positions):
    """Counts from 0 again at every document of a packed sequence.

    With no document ids it is `Consecutive`. Whether positions restart is a choice apart from
    whether attention crosses a document's boundary: `masks.Documents` decides that one.
    """

    equation = r"p_t = t - \text{start of the document of } t"

    def bounds(self, length: int) -> tuple[float, float]:
        return 0, length - 1

    def forward(self, sequences: Sequences) -> Tensor:
        index = torch.arange(sequences.length, device=sequences.device).unsqueeze(0)
        if (documents := sequences.documents) is None:
            return index
        starts = torch.ones_like(documents, dtype=torch.bool)
        starts[:, 1:] = documents[:, 1:] != documents[:, :-1]
        return index - torch.where(starts, index, 0).cummax(dim=1).values
