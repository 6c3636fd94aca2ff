"""Where does a walk on a circle end?"""

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.formal.base import FormalTask


class CycleNavigation(FormalTask):
    """Walk on a circle from place 0 by steps -1, 0 and +1; say the place at the end.

    Example: +1 +1 +1 -1 -> 2; -1 0 -1 -> 3 (on 5 places).

    Stresses counting, not position: a control that needs no order. Regular.

    Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098.

    Args:
        n_places: places on the circle, at least 2.

    Raises:
        ValueError: if an argument is too small.
    """

    def __init__(self, n_places: int = 5) -> None:
        whole(self, "n_places", n_places, 2)
        super().__init__(("-1", "0", "+1"), [str(i) for i in range(n_places)])

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        steps = draws.integers(0, 3, length)
        return self._posed(steps, (steps.sum(1) - length) % self.n_classes)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exactly 1: order does not matter."""
        self.check_length(length)
        return 1.0
