"""Counting from 0."""

import torch
from torch import Tensor

from lightning_posenc.positions.base import Positions
from lightning_posenc.positions.paper import Paper


class Consecutive(Positions):
    """Counts 0, 1, 2, …

    Source: Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762.
    """

    source = Paper("Vaswani et al.", 2017, "Attention Is All You Need", "1706.03762")

    def bounds(self, length: int) -> tuple[float, float]:
        return 0, length - 1

    def forward(
        self,
        n_sequences: int,
        length: int,
        device: torch.device,
        documents: Tensor | None = None,
        tokens: Tensor | None = None,
    ) -> Tensor:
        return torch.arange(length, device=device).unsqueeze(0)
