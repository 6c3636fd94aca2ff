"""What is the string, sorted?"""

from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.formal.base import StringTask


class BucketSort(StringTask):
    """Say the symbols of a string in ascending order.

    Example: 1 0 2 0 4 1 1 2 -> 0 0 1 1 1 2 2 4.

    Stresses counting, and absolute position in the answer alone: the order of the question does
    not matter, but each blank must know which one it is. Context-sensitive.

    Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098.

    Args:
        n_symbols: number of symbols, drawn independently and uniformly, at least 2.

    Raises:
        ValueError: if an argument is too small.
    """

    def __init__(self, n_symbols: int = 5) -> None:
        super().__init__(n_symbols)

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        string = draws.integers(0, self.n_classes, length)
        return self._posed(string, string.sort(1).values)
