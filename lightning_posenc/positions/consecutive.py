"""Counting from 0."""

import torch
from torch import Tensor

from lightning_posenc.positions.base import Positions
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.sequences import Sequences


class Consecutive(Positions):
    """Counts 0, 1, 2, …

    Source: Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762.
    """

    source = Paper("Vaswani et al.", 2017, "Attention Is All You Need", "1706.03762")
    equation = r"p_t = t"

    def bounds(self, length: int) -> tuple[float, float]:
        return 0, length - 1

    def forward(self, sequences: Sequences) -> Tensor:
        return torch.arange(sequences.length, device=sequences.device).unsqueeze(0)
