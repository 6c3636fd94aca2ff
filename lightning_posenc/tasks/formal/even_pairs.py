"""Are there evenly many changes between neighbours?"""

import math

from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.formal.base import FormalTask


class EvenPairs(FormalTask):
    """Say whether the pairs 01 and 10 together occur evenly often in a binary string.

    Example: 0 0 1 1 1 0 -> even (one 01, one 10).

    Stresses absolute position: the answer is whether the first and the last bit are equal.
    Regular.

    Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098.
    """

    def __init__(self) -> None:
        super().__init__("01", ("even", "odd"))

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        bits = draws.integers(0, 2, length)
        return self._posed(bits, bits[:, 0] ^ bits[:, -1])

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exact: of k ones in n bits, first and last differ in 2 k (n - k) / (n (n - 1))."""
        self.check_length(length)
        if length == 1:
            return 1.0
        pairs = length * (length - 1)
        right = 0
        for ones in range(length + 1):
            differ = 2 * ones * (length - ones)
            right += math.comb(length, ones) * max(differ, pairs - differ)
        return right / (pairs * 2**length)
