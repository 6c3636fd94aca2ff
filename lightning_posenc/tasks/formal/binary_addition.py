"""What is the sum of two binary numbers?"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.formal.base import FormalTask
from lightning_posenc.tasks.formal.binary import draw_operands, n_significant


class BinaryAddition(FormalTask):
    """Say the sum of two binary numbers, all written with the lowest digit first.

    Example: 0 0 1 + 0 1 1 0 1 -> 0 1 0 1 1 end (4 + 22 = 26).

    The first number has 1 to n - 2 digits, uniformly, the second the rest; each is uniform among
    the positive numbers that fit and may end in zeros. There are n + 1 blanks; nothing is scored
    after `end`. As in the source, lengths 1 and 2 are one number below 2^n - 1, to be repeated
    without its leading zeros.

    Stresses content-dependent alignment: the operator's place says which digits meet.
    Context-sensitive.

    Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098.
    """

    def __init__(self) -> None:
        super().__init__(("0", "1", "+"), ("0", "1", "end"))

    def answer_length(self, length: int) -> int:
        return length + 1

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        if length <= 2:
            number = draws.integers(0, 2**length - 1)
            question = result = (number[:, None] >> torch.arange(length)) & 1
        else:
            question, first, second = draw_operands(draws, length)
            result = _sum(pad(first, (0, 1)), pad(second, (0, 1)))
        return self._posed(question, pad(result, (0, 1)), n_significant(result))


def _sum(a: Tensor, b: Tensor) -> Tensor:
    """Digits of a + b, lowest first; the highest digit of either must be 0.

    The carry out of a place is that of the last place up to it with equal digits: two ones make
    one, two zeros stop one, and unequal digits pass it on.
    """
    place = torch.arange(a.shape[1])
    source = place.masked_fill(a != b, -1).cummax(1).values
    carry = a.gather(1, source.clamp(min=0)).masked_fill(source < 0, 0)
    return a ^ b ^ pad(carry[:, :-1], (1, 0))
