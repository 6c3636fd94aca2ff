"""What is the product of two binary numbers?"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.formal.base import FormalTask
from lightning_posenc.tasks.formal.binary import draw_operands, n_significant


class BinaryMultiplication(FormalTask):
    """Say the product of two binary numbers, all written with the lowest digit first.

    Example: 0 0 1 * 0 1 1 0 1 -> 0 0 0 1 1 0 1 end (4 * 22 = 88).

    Numbers are drawn as in `BinaryAddition`. There are n blanks; nothing is scored after `end`.
    As in the source, lengths 1 and 2 are one number below 2^n - 1, answered by `end` and `0 end`.

    Stresses content-dependent alignment: every digit of one number meets every digit of the other.
    Context-sensitive.

    Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098.
    """

    def __init__(self) -> None:
        super().__init__(("0", "1", "*"), ("0", "1", "end"))

    def answer_length(self, length: int) -> int:
        return length

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        if length <= 2:
            number = draws.integers(0, 2**length - 1)
            question = (number[:, None] >> torch.arange(length)) & 1
            end = torch.full_like(number, length - 1)
            return self._posed(question, torch.zeros_like(question), end)
        question, first, second = draw_operands(draws, length)
        result = _product(first, second)
        return self._posed(question, pad(result, (0, 1)), n_significant(result))


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Digits of a * b, lowest first, in as many columns as a and b have, which must hold it."""
    a, b = a.T.contiguous(), b.T.contiguous()
    columns = torch.zeros_like(a)
    for i, digit in enumerate(a):
        columns[i:] += digit * b[: len(b) - i]
    carry = torch.zeros_like(columns[0])
    for i in range(len(columns)):
        carry = carry + columns[i]
        columns[i] = carry & 1
        carry = carry >> 1
    return columns.T
