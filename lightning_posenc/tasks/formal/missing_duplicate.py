"""Which bit was wiped out of a string that is written twice?"""

from torch.nn.functional import pad

from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.formal.base import FormalTask


class MissingDuplicate(FormalTask):
    """A binary string is written twice, with one bit replaced by `?`: say that bit.

    Example: 0 1 1 0 0 ? 1 0 -> 1.

    The string has floor(n / 2) bits; at an odd length a filler follows. The place of `?` is
    uniform. Length 1 has no room for a string: as in the source the question is 1 and the answer 1.

    Stresses relative position: the answer stands half the length away from `?`. Yet it can be
    counted, see `bag_of_tokens_bound`. Context-sensitive.

    Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098,
    where it is called Missing Duplicate String.
    """

    def __init__(self) -> None:
        super().__init__(("0", "1", "?", "."), ("0", "1"))

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        if length == 1:
            one = draws.integers(1, 2, 1)
            return self._posed(one, one)
        half = length // 2
        string = draws.integers(0, 2, half)
        place = draws.integers(0, 2 * half)[:, None]
        question = pad(string.repeat(1, 2), (0, length % 2), value=3)
        answer = question.gather(1, place)
        return self._posed(question.scatter(1, place, 2), answer)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exactly 1: every bit stands there twice, so the one with an odd count is missing."""
        self.check_length(length)
        return 1.0
