"""What is the string backwards?"""

from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.formal.base import StringTask


class ReverseString(StringTask):
    """Say a string backwards.

    Example: 0 1 1 0 1 0 -> 0 1 0 1 1 0.

    Stresses absolute position: the i-th blank, at n + i, asks for the token at n - 1 - i.
    Deterministic context-free.

    Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098.

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
        return self._posed(string, string.flip(1))
