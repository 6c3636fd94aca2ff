"""Are there evenly many ones?"""

from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.formal.base import FormalTask


class ParityCheck(FormalTask):
    """Say whether a binary string has evenly many ones.

    Example: 1 0 1 0 1 0 0 -> odd.

    Stresses counting, not position: a control that needs no order. Regular.

    Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098.
    """

    def __init__(self) -> None:
        super().__init__("01", ("even", "odd"))

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        bits = draws.integers(0, 2, length)
        return self._posed(bits, bits.sum(1) % 2)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exactly 1: order does not matter."""
        self.check_length(length)
        return 1.0
