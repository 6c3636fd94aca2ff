"""What is the string with every other symbol first?"""

import torch

from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.formal.base import StringTask


class OddsFirst(StringTask):
    """Say the symbols at places 1, 3, 5, ... of a string, counted from 0, then those at 0, 2, ...

    Example: 0 0 1 1 0 1 0 1 -> 0 1 1 1 0 1 0 0.

    Stresses absolute position: the i-th blank asks for the token at 2 i + 1. Context-sensitive.

    Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098;
    the order is that of its code.

    Args:
        n_symbols: number of symbols, drawn independently and uniformly, at least 2.

    Raises:
        ValueError: if an argument is too small.
    """

    def __init__(self, n_symbols: int = 2) -> None:
        super().__init__(n_symbols)

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        string = draws.integers(0, self.n_classes, length)
        return self._posed(string, torch.cat([string[:, 1::2], string[:, ::2]], 1))
