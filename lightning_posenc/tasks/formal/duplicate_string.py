"""What is the string, twice over?"""

from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.formal.base import StringTask


class DuplicateString(StringTask):
    """Say a string twice.

    Example: 1 0 1 -> 1 0 1 1 0 1.

    Stresses relative position: a blank asks for the token n, or 2 n, before it. Context-sensitive.

    Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098.

    Args:
        n_symbols: number of symbols, drawn independently and uniformly, at least 2.

    Raises:
        ValueError: if an argument is too small.
    """

    def __init__(self, n_symbols: int = 2) -> None:
        super().__init__(n_symbols)

    def answer_length(self, length: int) -> int:
        return 2 * length

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        string = draws.integers(0, self.n_classes, length)
        return self._posed(string, string.repeat(1, 2))
